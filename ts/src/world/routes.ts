/**
 * How this rank reaches each of the others. It dials ranks of its machine that share memory, and announce a key, over
 * the near transport. It dials all others over the transport that reaches every rank, with as many connections as the
 * tuning says. If the near transport does not reach a rank (another network namespace), the other one takes its place,
 * with one warning.
 */
import { AdasumError, systemCode } from '../errors.ts'
import type { PeerAddress } from '../rendezvous/stores/store.ts'
import type { FailureLimits } from '../timing/failure-limits.ts'
import { formatAddress } from '../transport/address.ts'
import type { SharedMemory } from '../shared-memory/shared-memory.ts'
import type { Transport } from '../transport/transport.ts'
import { dialAuthenticated } from '../wire/authenticated.ts'
import type { Checksums } from '../wire/checked-pipe.ts'
import type { DialIdentity } from '../wire/handshake.ts'
import type { Route } from './route.ts'
import { dialStriped } from './stripes.ts'
import type { Ways } from './ways.ts'

export interface RoutesOptions {
  readonly ways: Ways
  readonly identity: Omit<DialIdentity, 'peerRank' | 'groupId' | 'purpose' | 'checksums'>
  /** By rank, this one included. */
  readonly peers: readonly PeerAddress[]
  /** By rank: the number of its machine. */
  readonly machines: readonly number[]
  readonly sharedMemory: SharedMemory | undefined
  /** Those that connections over the transport that reaches every rank have. */
  readonly checksums?: Checksums
  /** How many connections a pipe has over the transport that reaches every rank; each does its own handshake. */
  readonly connectionsPerPeer: number
  /** How soon a dial finds out that nobody answers. */
  readonly limits: FailureLimits
}

/** @returns the routes by rank; the one to this rank itself is never dialled */
export function routesOf(options: RoutesOptions): Route[] {
  const { peers, machines } = options
  const near = sharersOf(options)
  return peers.map(({ host, port }, peerRank) => {
    const sharesMemory = near.has(peerRank)
    const dial = sharesMemory ? nearDial(options, peerRank) : farDial(options, peerRank)
    return { machine: machines[peerRank]!, address: formatAddress(host, port), sharesMemory, dial }
  })
}

/**
 * The peers that share memory with this rank. Both ends come to the same result, since both use what the store has told
 * all ranks.
 */
function sharersOf({ identity, peers, machines, sharedMemory }: RoutesOptions): Set<number> {
  const { rank } = identity
  const isNear = (peer: number): boolean =>
    peer !== rank && machines[peer] === machines[rank] && peers[peer]!.sharesMemory === true
  return new Set(sharedMemory && peers[rank]!.sharesMemory ? [...peers.keys()].filter(isNear) : [])
}

function farDial(options: RoutesOptions, peerRank: number): Route['dial'] {
  const { ways, connectionsPerPeer, checksums } = options
  const dial = dialOver(options, ways.transport, peerRank, checksums)
  return (groupId, signal) => dialStriped(connectionsPerPeer, () => dial(groupId, signal))
}

function nearDial(options: RoutesOptions, peerRank: number): Route['dial'] {
  const { host, port, unixKey } = options.peers[peerRank]!
  const far = farDial(options, peerRank)
  const { nearTransport } = options.ways
  if (unixKey === undefined || nearTransport === undefined) return far
  const near = dialOver(options, nearTransport(unixKey), peerRank)
  let isUnreachable = false
  return async (groupId, signal) => {
    if (isUnreachable) return far(groupId, signal)
    try {
      return await near(groupId, signal)
    } catch (error) {
      const why = whyUnreachable(error)
      if (why === undefined) throw error
      const pipe = await far(groupId, signal)
      isUnreachable = true
      options.sharedMemory?.warn(
        `Rank ${peerRank} (${formatAddress(host, port)}) is on this machine, but its Unix socket cannot be reached (${why}): ` +
          'TCP takes its place. Is it another container? sharedMemory: false on every rank leaves it out.',
      )
      return pipe
    }
  }
}

function dialOver(
  { identity, peers, limits }: RoutesOptions,
  over: Transport,
  peerRank: number,
  checksums?: Checksums,
): Route['dial'] {
  const { host, port } = peers[peerRank]!
  const common = { ...identity, peerRank, purpose: 'peer', checksums } as const
  return (groupId, signal) => dialAuthenticated(over, host, port, { ...common, groupId }, signal, limits)
}

/** The system's reason why nobody could be dialled, as opposed to what went wrong with somebody. */
function whyUnreachable(error: unknown): string | undefined {
  return error instanceof AdasumError && error.code === 'ERR_PEER_LOST' ? systemCode(error.cause) : undefined
}
