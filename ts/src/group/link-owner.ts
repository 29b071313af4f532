import type { AdasumError } from '../errors.ts'
import type { Tuning } from '../tuning.ts'
import type { Descriptor } from '../wire/frame.ts'
import type { Joins } from './joins.ts'
import type { LinkMemory } from './lender.ts'
import type { NamedPeer, Peer } from './peer.ts'

/** What a link asks and tells its group. */
export interface LinkOwner {
  /** This rank's number, and how many there are. */
  readonly rank: number
  readonly size: number
  readonly tuning: Tuning
  /** Which ranks have joined. */
  readonly joins: Joins
  /** The memory that this rank and a peer share; undefined if they share none. */
  memoryWith(peer: number): LinkMemory | undefined
  /** The descriptor of a collective under way here, `finished`, or undefined if it has not begun. */
  stateOf(sequence: number): Descriptor | 'finished' | undefined
  mismatchError(peer: NamedPeer, sequence: number, mine: Descriptor, theirs: Descriptor): AdasumError
  /** The sequence number of the oldest collective under way here; infinity if there is none. */
  oldestSequence(): number
  /**
   * A part of a message of that collective has been sent, or has come.
   *
   * @param from - the rank from which it has come; absent for what has been sent
   */
  onProgress(sequence: number, from?: number): void
  /** Bytes have come from a peer, on the connection that this rank reads. */
  hear(peer: number): void
  /** The first frame of that collective has come from a peer. */
  onHeard(sequence: number, peer: Peer): void
  /** That many bytes of the collective have come before this rank asked for them. */
  onEarlyBytes(sequence: number, byteLength: number): void
  /** A peer has sent the cause of the group's failure. */
  onAbort(cause: AdasumError): void
  /** The connections to a peer have ended without a word. */
  onPeerLost(peer: NamedPeer, reason: string, cause?: Error): void
  /** The peer has closed after its collective `lastSequence`: calls that cannot do without it fail. */
  onPeerDeparture(peer: Peer, lastSequence: number): void
  /** The peer cannot be dialled: calls that wait for it fail. */
  onPeerUnreachable(peer: Peer, error: AdasumError): void
  /** The link cannot go on: a peer broke the protocol, or memory of a call was transferred away. */
  onLinkError(peer: NamedPeer, error: Error): void
}
