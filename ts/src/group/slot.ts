/**
 * What a link keeps for each collective: receives that wait for their messages, messages that came early, and messages
 * to send.
 */
import type { Descriptor, FrameHeader } from '../wire/frame.ts'
import type { OfferedMessage } from './lender.ts'
import type { OutgoingMessage } from './outgoing-message.ts'

/** Who watches a message come. */
export interface MessageWatcher {
  /** Called repeatedly, while a large message comes, with how many bytes of it have come. */
  readonly onProgress?: (byteLength: number) => void
  /** Called as soon as the message begins to come, with the weight in its header. */
  readonly onWeight?: ((weight: number) => void) | undefined
}

/** A message that a call is to receive from a peer. */
export interface ReceiveRequest {
  readonly byteLength: number
  /**
   * Gives the memory for the message. It is called at most once: if the message comes through the connection, or is
   * copied.
   */
  readonly memory: () => readonly Uint8Array[]
  /** Whether the message may stay in the sender's memory. */
  readonly mayBorrow: boolean
  /** Called with the memory in which the message lies, or will lie. */
  readonly onLocated?: (parts: readonly Uint8Array[]) => void
  readonly watcher?: MessageWatcher | undefined
}

/** A message that has come. */
export interface ReceivedMessage {
  /** The rank flags of the sender. */
  readonly rankFlags: number
  readonly parts: readonly Uint8Array[]
  /**
   * The receiver calls it when it has read everything; then the sender may change the memory. It rejects with the
   * group's failure if the memory may have changed before: then what was read must not be used.
   */
  readonly finish: () => Promise<void>
}

/** A message that a call waits for. */
export interface PostedReceive {
  readonly request: ReceiveRequest
  readonly descriptor: Descriptor
  /** The memory for the message, once the peer may send it through the connection. */
  parts: readonly Uint8Array[] | undefined
  readonly resolve: (received: ReceivedMessage) => void
  readonly reject: (error: Error) => void
}

/** One collective on one link. All maps and sets are by step. */
export class Slot {
  /** Receives that wait for their messages. */
  readonly posted: Map<number, PostedReceive> = new Map()
  /** Messages and offers that came before their receives. */
  readonly early: Map<number, { header: FrameHeader; parts: readonly Uint8Array[] }> = new Map()
  /** Steps for which the peer has sent READY. */
  readonly ready: Set<number> = new Set()
  /** Large messages that wait for READY. */
  readonly waiting: Map<number, OutgoingMessage> = new Map()
  /** Messages that the peer is to read in this rank's memory. */
  readonly offered: Map<number, OfferedMessage> = new Map()
  /** Whether a frame of the collective has come: the peer has begun it. */
  hasHeard = false
  /** The peer's descriptor, if a frame has come before this rank began the collective. */
  descriptor: Descriptor | undefined
}

/** The slots of a link, by sequence number. */
export class Slots {
  readonly #slots = new Map<number, Slot>()

  getOrCreate(sequence: number): Slot {
    let slot = this.#slots.get(sequence)
    if (!slot) this.#slots.set(sequence, (slot = new Slot()))
    return slot
  }

  get(sequence: number): Slot | undefined {
    return this.#slots.get(sequence)
  }

  all(): Iterable<[sequence: number, slot: Slot]> {
    return this.#slots
  }

  delete(sequence: number): void {
    this.#slots.delete(sequence)
  }

  clear(): void {
    this.#slots.clear()
  }
}
