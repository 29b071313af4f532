/**
 * How this rank opens connections: to ranks of its machine over Unix sockets, if they have some, to all others over TCP. Where
 * a Unix socket cannot be reached (another network namespace) TCP takes its place, with one warning.
 */
import type { Dial } from '../group/connections.ts'
import { AdasumError, systemCode } from '../errors.ts'
import type { PeerAddress } from '../rendezvous/messages.ts'
import { formatAddress } from '../transport/address.ts'
import type { SharedMemory } from '../transport/shared-memory.ts'
import type { Pipe, Transport } from '../transport/transport.ts'
import { unixTransport } from '../transport/unix.ts'
import { dialAuthenticated } from '../wire/authenticated.ts'
import type { DialIdentity } from '../wire/handshake.ts'
import { dialStriped } from '../wire/stripes.ts'

interface Dialling {
  readonly transport: Transport
  readonly identity: Omit<DialIdentity, 'peerRank' | 'groupId' | 'purpose'>
  readonly peers: readonly PeerAddress[]
  /** Those whose memory this rank may read, and that may read its. */
  readonly near: ReadonlySet<number>
  readonly sharedMemory: SharedMemory | undefined
  /** Over TCP; each is a handshake of its own. */
  readonly connectionsPerPeer: number
}

export function diallerOf({ transport, identity, peers, near, sharedMemory, connectionsPerPeer }: Dialling): Dial {
  const unreachable = new Set<number>()
  return async (peerRank, groupId, signal) => {
    const { host, port, unixKey } = peers[peerRank]!
    const dial = (over: Transport): Promise<Pipe> =>
      dialAuthenticated(over, host, port, { ...identity, peerRank, groupId, purpose: 'peer' }, signal)
    const dialFar = (): Promise<Pipe> => dialStriped(connectionsPerPeer, () => dial(transport))
    if (unixKey === undefined || !near.has(peerRank) || unreachable.has(peerRank)) return dialFar()
    try {
      return await dial(unixTransport(unixKey))
    } catch (error) {
      const why = whyUnreachable(error)
      if (why === undefined) throw error
      const pipe = await dialFar()
      unreachable.add(peerRank)
      sharedMemory?.warn(
        `Rank ${peerRank} (${formatAddress(host, port)}) is on this machine, but its Unix socket cannot be reached (${why}): ` +
          'TCP takes its place. Is it another container? sharedMemory: false on every rank leaves it out.',
      )
      return pipe
    }
  }
}

/** The system's reason why nobody could be dialled, as opposed to what went wrong with somebody. */
function whyUnreachable(error: unknown): string | undefined {
  return error instanceof AdasumError && error.code === 'ERR_PEER_LOST' ? systemCode(error.cause) : undefined
}
