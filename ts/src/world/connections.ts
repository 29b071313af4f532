/**
 * The connections of one process for all its groups. They open on first use: a rank that needs a peer dials it and
 * names the group, and the peer dials back. So each pair of ranks in a group has two connections, one for each
 * direction (the reader of a direction dials; see transport/socket-pipe.ts).
 *
 * A peer may be ahead, and dial for a group that this rank has not made yet. Its connection then waits for the group. A
 * peer that dials for a group that has ended, or will never be made here, is told so.
 */
import type { Group } from '../group/group.ts'
import { dismiss, goodbyeFrame } from '../group/last-words.ts'
import type { Pipe } from '../transport/transport.ts'
import { NEWS_GROUP_ID } from '../wire/handshake-format.ts'
import type { Departures } from './departures.ts'
import type { Dial } from './dial.ts'

/** How many connections one peer may hold open for groups that this rank has not made yet. */
const EARLY_LIMIT = 64

/** A connection for a group that this rank has not made yet. */
interface EarlyConnection {
  readonly worldRank: number
  readonly pipe: Pipe
}

/** How many closed groups are remembered with their last words: a loop may split and close groups without end. */
const ENDED_LIMIT = 4096

interface OpenGroup {
  readonly group: Group
  /** By rank in the group: the rank in the world. */
  readonly worldRanks: readonly number[]
}

/** What is left of a group that has been closed. */
interface EndedGroup {
  readonly worldRanks: readonly number[]
  readonly lastWords: Uint8Array
}

export class Connections {
  readonly #dial: Dial
  readonly #departures: Departures
  readonly #openGroups = new Map<string, OpenGroup>()
  /** By group id, the latest last. */
  readonly #endedGroups = new Map<string, EndedGroup>()
  readonly #early = new Map<string, EarlyConnection[]>()
  /** Last words that are on their way. */
  readonly #farewells = new Set<Promise<void>>()
  #isClosed = false

  constructor(dial: Dial, departures: Departures) {
    this.#dial = dial
    this.#departures = departures
  }

  /** A function by which a group dials its ranks. */
  diallerOf(groupId: string, worldRanks: readonly number[]) {
    return (peer: number, signal: AbortSignal): Promise<Pipe> => this.#dial(worldRanks[peer]!, groupId, signal)
  }

  /** Gives a group the connections that peers dial for it from now on, and those that have come already. */
  add(groupId: string, group: Group, worldRanks: readonly number[]): void {
    this.#openGroups.set(groupId, { group, worldRanks })
    const early = this.#early.get(groupId) ?? []
    this.#early.delete(groupId)
    for (const { worldRank, pipe } of early) this.accept(worldRank, groupId, pipe)
  }

  /** Removes a group that has ended. Peers that still dial for it get its last words. */
  remove(groupId: string, worldRanks: readonly number[], lastWords: Uint8Array): void {
    this.#openGroups.delete(groupId)
    this.#endedGroups.set(groupId, { worldRanks, lastWords })
    const [oldest] = this.#endedGroups.keys()
    if (this.#endedGroups.size > ENDED_LIMIT) this.#endedGroups.delete(oldest!)
  }

  accept(worldRank: number, groupId: string, pipe: Pipe): void {
    if (groupId === NEWS_GROUP_ID) return this.#keep(this.#departures.answer(pipe))
    const member = this.#openGroups.get(groupId)
    if (member) {
      const peer = member.worldRanks.indexOf(worldRank)
      return peer < 0 ? pipe.destroy() : this.#keep(member.group.accept(peer, pipe))
    }
    const ended = this.#endedGroups.get(groupId)
    if (ended) return ended.worldRanks.includes(worldRank) ? this.#keep(dismiss(pipe, ended.lastWords)) : pipe.destroy()
    if (this.#isClosed) return this.#sendAway(pipe)
    if (this.#earlyCountOf(worldRank) >= EARLY_LIMIT) return pipe.destroy()
    const early = this.#early.get(groupId)
    if (early) early.push({ worldRank, pipe })
    else this.#early.set(groupId, [{ worldRank, pipe }])
    // Unreferenced, so that a script that forgets to close its communicator still ends.
    pipe.unref()
  }

  /** Makes no more groups: the connections that wait for one get a goodbye, and so do those that still come. */
  close(): void {
    this.#isClosed = true
    for (const { pipe } of [...this.#early.values()].flat()) this.#sendAway(pipe)
    this.#early.clear()
  }

  /** Settles when all last words that are on their way have been sent. */
  async whenFarewellsSent(): Promise<void> {
    while (this.#farewells.size > 0) await Promise.all(this.#farewells)
  }

  /** Says goodbye on a connection for a group that this rank will never make. */
  #sendAway(pipe: Pipe): void {
    this.#keep(dismiss(pipe, goodbyeFrame(0)))
  }

  #keep(farewell: Promise<void> | undefined): void {
    if (!farewell) return
    const kept = farewell.finally(() => this.#farewells.delete(kept))
    this.#farewells.add(kept)
  }

  #earlyCountOf(worldRank: number): number {
    return [...this.#early.values()].flat().filter((early) => early.worldRank === worldRank).length
  }
}
