import type { AdasumError } from '../errors.ts'
import type { Tuning } from '../tuning.ts'
import type { Descriptor } from '../wire/frame.ts'
import type { LinkMemory } from './lender.ts'
import type { NamedPeer, Peer } from './peer.ts'

/** What a link asks of its group. */
export interface LinkOwner {
  /** This rank's number, and how many there are. */
  readonly rank: number
  readonly size: number
  readonly tuning: Tuning
  /** Memory that a peer and this rank may read of each other; undefined if they share none. */
  memoryWith(peer: number): LinkMemory | undefined
  /** The descriptor of a collective under way here, `finished`, or undefined if it has not begun. */
  stateOf(sequence: number): Descriptor | 'finished' | undefined
  mismatchError(peer: NamedPeer, sequence: number, mine: Descriptor, theirs: Descriptor): AdasumError
  /** The sequence number of the oldest collective under way here; infinity if there is none. */
  oldestSequence(): number
  /** A byte of that collective has gone, or has come from a rank. */
  progressed(sequence: number, from?: number): void
  /** A peer has been heard of in that collective, for the first time. */
  heard(sequence: number): void
  /** So much of it has come before this rank asked for it. */
  cameEarly(sequence: number, byteLength: number): void
  aborted(cause: AdasumError): void
  lost(peer: NamedPeer, reason: string, cause?: Error): void
  /** The peer has closed after its collective `lastSequence`: calls that cannot do without it fail. */
  departed(peer: Peer, lastSequence: number): void
  /** The peer cannot be dialled: calls that wait for it fail. */
  unreachable(peer: Peer, error: AdasumError): void
  broken(peer: NamedPeer, error: Error): void
}
