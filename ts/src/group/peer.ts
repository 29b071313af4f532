/** A peer of a group, as the group's calls and failures see it. Links implement it (link.ts). */
import type { Descriptor, FrameHeader } from '../wire/frame.ts'
import type { ReceivedMessage, ReceiveRequest } from './slot.ts'

/** A peer's rank and address, as messages name it. */
export interface NamedPeer {
  /** Its rank. */
  readonly peer: number
  readonly address: string
}

export interface Peer extends NamedPeer {
  /**
   * When the last bytes came on the connection that this rank reads, as performance.now() gives it; 0 if none have
   * come.
   */
  readonly heardAt: number
  /** The peer's last collective, once it has said goodbye. */
  readonly lastSequence: number | undefined
  /** How many bytes a message of this length sends through the connection, header included. */
  sentByteLength(byteLength: number): number
  /** How many bytes a message of this length receives through the connection, header included. */
  receivedByteLength(byteLength: number): number
  /** Sends a message. Resolves when its memory may change again. */
  send(header: FrameHeader, parts: readonly Uint8Array[]): Promise<void>
  /** Receives the message of one step. */
  receive(sequence: number, step: number, descriptor: Descriptor, request: ReceiveRequest): Promise<ReceivedMessage>
  /**
   * Tells the peer which call this rank waits in. Without it, two ranks that have called different things, and each
   * wait for the other to send first, would never notice.
   */
  announce(sequence: number, descriptor: Descriptor): void
  /**
   * Tells the peer that this rank has joined. Resolves once this has left for sure, in front of everything later.
   *
   * @param sequence - of the first collective that this rank does not call itself
   */
  join(sequence: number): Promise<void>
  /** The peer's descriptor of a call that this rank has not begun, if a frame of it has come. */
  descriptorOf(sequence: number): Descriptor | undefined
  /** The calls under way of which a frame has come from the peer. */
  heardSequences(): number[]
  /** Whether a frame of that collective has come from the peer, or, for a join, whether the peer has joined. */
  hasHeard(sequence: number): boolean
  /** Whether this rank waits for the peer in that call. */
  isAwaited(sequence: number): boolean
  /** Whether that call, which is under way, cannot end without the peer, which has closed. */
  isRequired(sequence: number): boolean
}
