/**
 * What the communicators of one process share: the routes to all ranks, and the connections. The first communicator has
 * all ranks of the world; `split` makes others of some of them.
 */
import { sha256 } from '#platform'
import { hexOf } from '../bytes.ts'
import type { Binding } from '../binding/binding.ts'
import { AdasumError } from '../errors.ts'
import { peerLeftError } from '../group/failure.ts'
import { Group } from '../group/group.ts'
import type { Dialler, GroupOptions } from '../group/group-options.ts'
import type { Heartbeat } from '../heartbeat/heartbeat.ts'
import type { Loss } from '../heartbeat/messages.ts'
import { Monitor, type Reporting } from '../observe/monitor.ts'
import type { SharedMemory } from '../shared-memory/shared-memory.ts'
import type { FailureLimits } from '../timing/failure-limits.ts'
import type { Tuning } from '../tuning.ts'
import { GROUP_ID_BYTE_LENGTH, WORLD_GROUP_ID } from '../wire/handshake-format.ts'
import { Connections } from './connections.ts'
import { Departures } from './departures.ts'
import type { Dial } from './dial.ts'
import type { Route } from './route.ts'

export interface WorldOptions {
  /** This rank. */
  readonly rank: number
  /** What computes in its groups. */
  readonly binding: Binding
  /** By rank, this one included. */
  readonly routes: readonly Route[]
  /** The tuning of all its groups. */
  readonly tuning?: Tuning
  /** The memory that this rank shares with the peers that share theirs. */
  readonly sharedMemory?: SharedMemory | undefined
  /**
   * A clause about connections that were turned away, for messages about ranks that do not come; empty if none were.
   */
  readonly refusals?: () => string
  /** Where its groups report their calls, stalls and failures. */
  readonly reporting?: Reporting
  /** How soon its groups find out that a rank is gone. */
  readonly failureLimits?: FailureLimits
  /** Begins the heartbeat, which tells of ranks that are lost; undefined if there is none. */
  readonly beginHeartbeat?: (onLoss: (loss: Loss) => void) => Heartbeat | undefined
  /**
   * Releases everything that the world has besides its groups. Until then, peers that dial are told that it has ended.
   */
  readonly release: () => Promise<void>
}

/** A group, and which ranks of the world its ranks are. */
export interface Membership {
  readonly id: string
  readonly worldRanks: readonly number[]
  readonly group: Group
  /**
   * The group's name in metrics, reports and the timeline: `world`, and for one that was split off `<where>/<number of
   * the split>.<color>`.
   */
  readonly label: string
}

export class World {
  readonly connections: Connections
  readonly #options: WorldOptions
  readonly #departures: Departures
  readonly #groups = new Map<Group, Membership>()
  readonly #heartbeat: Heartbeat | undefined
  #root: Group | undefined
  #closing: Promise<void> | undefined

  constructor(options: WorldOptions) {
    this.#options = options
    const dial: Dial = (rank, groupId, signal) => options.routes[rank]!.dial(groupId, signal)
    this.#departures = new Departures(options.rank, options.routes.length, dial)
    this.connections = new Connections(dial, this.#departures)
    this.#heartbeat = options.beginHeartbeat?.((loss) => this.#lose(loss))
  }

  /** Makes the group of all ranks. */
  openRoot(limits: Pick<GroupOptions, 'timeoutMs' | 'stallMs'> = {}): Membership {
    const { rank, routes } = this.#options
    const worldRanks = [...routes.keys()]
    const membership = this.#add(WORLD_GROUP_ID, worldRanks, 'world', { rank, size: worldRanks.length, ...limits })
    this.#root = membership.group
    return membership
  }

  /** Makes a group of some ranks of another one; `members` are ranks there. All members compute the same id for it. */
  openSubgroup(parent: Membership, sequence: number, color: number, members: readonly number[]): Membership {
    const hash = hexOf(sha256(`${parent.id} ${sequence} ${color}`))
    const rank = members.indexOf(parent.group.rank)
    const { timeoutMs, stallMs } = parent.group
    const name = `${parent.group.name} in the group of color ${color} (split #${sequence})`
    const options = { rank, size: members.length, timeoutMs, stallMs, name }
    const worldRanks = members.map((member) => parent.worldRanks[member]!)
    return this.#add(
      hash.slice(0, 2 * GROUP_ID_BYTE_LENGTH),
      worldRanks,
      `${parent.label}/${sequence}.${color}`,
      options,
    )
  }

  /** The number of each member's machine. */
  machinesOf({ worldRanks }: Membership): number[] {
    return worldRanks.map((rank) => this.#options.routes[rank]!.machine)
  }

  /** Number of a member among those on its machine, and how many they are. */
  localRanksOf(membership: Membership): { localRank: number; localSize: number } {
    const { group } = membership
    const machines = this.machinesOf(membership)
    const local = [...machines.keys()].filter((member) => machines[member] === machines[group.rank])
    return { localRank: local.indexOf(group.rank), localSize: local.length }
  }

  /** What computes in its groups. */
  get binding(): Binding {
    return this.#options.binding
  }

  /** Memory that arrays can lie in and peers can read, if there are such peers. */
  get sharedMemory(): SharedMemory | undefined {
    return this.#options.sharedMemory
  }

  /** Closes a group that was split off, and forgets it but for how it has ended. */
  async leave({ id, worldRanks, group }: Membership): Promise<void> {
    await group.close()
    // If the group has been left before it is forgotten already.
    if (this.#groups.delete(group)) this.connections.remove(id, worldRanks, group.lastWords!)
  }

  /** Closes all groups. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  /** Ends the groups of which a rank is lost. */
  #lose({ rank, seenBy }: Loss): void {
    // One that has left in good order may have stopped on its way out.
    if (this.#departures.isNoted(rank)) return
    for (const [group, { worldRanks }] of this.#groups) {
      const peer = worldRanks.indexOf(rank)
      const by = worldRanks.indexOf(seenBy)
      if (peer >= 0) group.lose(peer, by >= 0 ? by : undefined)
    }
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#groups.keys()].map((group) => group.close()))
    const farewell = await this.#root?.close()
    if (farewell) await this.#departures.leave(farewell)
    this.#heartbeat?.close()
    this.connections.close()
    await this.#options.release()
    await this.connections.whenFarewellsSent()
  }

  #add(id: string, worldRanks: readonly number[], label: string, options: GroupOptions): Membership {
    const dial = this.connections.diallerOf(id, worldRanks)
    // The type says which names there are: a spread of others would go unnoticed.
    const news: Pick<Dialler, 'onDeparture'> =
      id === WORLD_GROUP_ID ? { onDeparture: (peer, last) => this.#departures.note(peer, last) } : {}
    const dialler: Dialler = {
      ...news,
      addressOf: (peer: number) => this.#options.routes[worldRanks[peer]!]!.address,
      dial: (peer: number, signal: AbortSignal) =>
        dial(peer, signal).catch(async (reason: unknown) => {
          const error = await this.#whyUnreachable(reason, worldRanks[peer]!, signal)
          throw error instanceof AdasumError && options.name ? inGroup(error, peer, worldRanks, options) : error
        }),
      sharesMemory: (peer: number) => this.#options.routes[worldRanks[peer]!]!.sharesMemory === true,
      refusals: this.#options.refusals ?? (() => ''),
      hear: (peer: number) => this.#heartbeat?.hear(worldRanks[peer]!),
      watch: (peers: readonly number[]) => this.#heartbeat?.watch(peers.map((peer) => worldRanks[peer]!)),
    }
    const { tuning, sharedMemory, reporting, failureLimits } = this.#options
    const monitor = new Monitor(label, reporting)
    const own = { ...(tuning && { tuning }), ...(failureLimits && { failureLimits }) }
    const group = new Group({ ...options, ...own, sharedMemory, monitor, dialler })
    const membership = { id, worldRanks, group, label }
    this.#groups.set(group, membership)
    this.connections.add(id, group, worldRanks)
    return membership
  }

  /** The error for a rank that cannot be reached: another one if the rank has left in good order. */
  async #whyUnreachable(reason: unknown, rank: number, signal: AbortSignal): Promise<unknown> {
    if (!(reason instanceof AdasumError) || reason.code !== 'ERR_PEER_LOST') return reason
    const lastSequence = await this.#departures.lastSequenceOf(rank, signal)
    const { address } = this.#options.routes[rank]!
    return lastSequence === undefined ? reason : peerLeftError({ peer: rank, address }, lastSequence, reason.cause)
  }
}

/**
 * Translates the error of a dial, which names ranks of the world, for the callers of a group, who know the ranks of the
 * group.
 */
function inGroup(error: AdasumError, peer: number, worldRanks: readonly number[], group: GroupOptions): AdasumError {
  const { code, message, peerAddress, cause } = error
  const who = `Rank ${peer}${group.name} is rank ${worldRanks[peer]} of the world, and ${message}`
  return new AdasumError(code, who, { rank: group.rank, peerRank: peer, peerAddress, cause })
}
