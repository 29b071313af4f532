/** A peer of a group, as the group's calls and failures see it. What does all this is a link (link.ts). */
import type { Descriptor, FrameHeader } from '../wire/frame.ts'
import type { Received, Want } from './slot.ts'

/** A peer, as messages name it. */
export interface NamedPeer {
  /** Its rank. */
  readonly peer: number
  readonly address: string
}

export interface Peer extends NamedPeer {
  /** When the connection that is read last brought something, as performance.now() has it; 0 if it has not. */
  readonly heardAt: number
  /** The peer's last collective, once it has said goodbye. */
  readonly lastSequence: number | undefined
  /** Bytes of a message that go through the connection. */
  sentByteLength(byteLength: number): number
  /** The same for one that comes. */
  receivedByteLength(byteLength: number): number
  /** Resolves when the memory may be changed again. */
  send(header: FrameHeader, parts: readonly Uint8Array[]): Promise<void>
  /** Asks for the message of one step. */
  receive(sequence: number, step: number, descriptor: Descriptor, want: Want): Promise<Received>
  /**
   * Tells the peer what this rank waits for it in. Ranks of which each waits for the other to begin would not see
   * otherwise that they called different things.
   */
  announce(sequence: number, descriptor: Descriptor): void
  /** Whether the peer has come to a collective that is under way: something has come from it. */
  hasHeard(sequence: number): boolean
  /** Whether this rank waits for the peer in that call. */
  isWaiting(sequence: number): boolean
  /** Whether a call that is under way cannot do without the peer, which has closed. */
  misses(sequence: number): boolean
}
