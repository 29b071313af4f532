/**
 * The connection of a link that this rank writes to. Frames leave in order, small ones against the peer's credit.
 *
 * Credit. This rank's oldest call may use all of the peer's credit, all other calls together only half of it. Suppose
 * that one rank issues many calls at once, and another awaits each before the next. Without that rule, frames of calls
 * that the second has not begun could use up the credit which the next step of its current call needs.
 *
 * Memory. A small frame is one buffer and one write, so its payload is copied. A large payload is written from where it
 * lies, chunk by chunk, and everything behind it waits. The caller may transfer the memory away at any time; then no
 * byte may follow, because the peer would take it for the rest of the payload.
 */
import { uninitializedBytes } from '#platform'
import { transferredAway } from '../tensor/check.ts'
import type { Pipe } from '../transport/transport.ts'
import {
  CREDIT_BYTE_LENGTH,
  type FrameHeader,
  type FrameKind,
  HEADER_BYTE_LENGTH,
  NO_DESCRIPTOR,
  encodeHeader,
} from '../wire/frame.ts'
import { copyParts } from '../tensor/parts.ts'
import { type EagerFrame, EagerFrames } from './eager-frames.ts'
import { type OutgoingMessage, frameByteLength, hasLostMemory } from './outgoing-message.ts'
import { Queue } from '../queue.ts'

export interface OutboxOwner {
  /** Large payloads are handed over in writes of this size, so that their progress can be seen. */
  readonly writeByteLength: number
  /** The sequence number of the oldest call under way; infinity if there is none. */
  readonly oldestSequence: () => number
  /** A part of that collective has been handed over. */
  readonly onProgress: (sequence: number) => void
  /** A message can never be sent, so the peer would wait for it in vain. */
  readonly onError: (error: Error) => void
}

interface Chunk {
  readonly bytes: Uint8Array
  /** What the bytes' length was: it drops to 0 when their memory is transferred away. */
  readonly byteLength: number
}

export class Outbox {
  readonly #writer: Pipe
  readonly #owner: OutboxOwner
  readonly #eager = new EagerFrames()
  /** Eager bytes that the peer has not reported as consumed. */
  #uncreditedBytes = 0
  /** The large payload that is being written, and what waits behind it: encoded frames and large payloads. */
  #payload: OutgoingMessage | undefined
  readonly #queuedBehindPayload = new Queue<Uint8Array | OutgoingMessage>()
  /** How many frames with a payload are still to be written, by sequence number. */
  readonly #held = new Map<number, number>()
  #isOpen = false
  #onOpen: (() => void)[] = []
  /** Whether the connection has ended inside a payload. */
  #isBroken = false
  #hasPeerDeparted = false

  constructor(writer: Pipe, owner: OutboxOwner) {
    this.#writer = writer
    this.#owner = owner
  }

  /**
   * Begins to send, once the connection is open. Until then small frames are kept here and count as not sent, since a
   * rank may end as soon as all of its frames count as sent.
   */
  open(): void {
    this.#isOpen = true
    this.flush()
    for (const onOpen of this.#onOpen.splice(0)) onOpen()
  }

  /** Resolves once the connection is open: frames that were handed over before leave then, whatever follows. */
  whenOpen(): Promise<void> {
    return this.#isOpen ? Promise.resolve() : new Promise((resolve) => this.#onOpen.push(resolve))
  }

  /** Sends a small frame as soon as the peer's credit allows. */
  sendEager(outgoing: OutgoingMessage): void {
    this.#hold(outgoing)
    this.#eager.push(outgoing)
    this.flush()
  }

  /** Gives credit back: the peer has consumed that many eager bytes. */
  addCredit(byteLength: number): void {
    this.#uncreditedBytes = Math.max(0, this.#uncreditedBytes - byteLength)
    this.flush()
  }

  /** Sends the small frames that the credit allows, those of the oldest call first. */
  flush(): void {
    for (let next = this.#nextEager(); next; next = this.#nextEager()) {
      this.#eager.remove(next)
      this.#writeEager(next.outgoing)
    }
  }

  #nextEager(): EagerFrame | undefined {
    if (!this.#isOpen) return undefined
    const fits = (frame: EagerFrame, limit: number): boolean =>
      this.#uncreditedBytes + frameByteLength(frame.outgoing) <= limit
    const oldest = this.#owner.oldestSequence()
    const first = this.#eager.first
    const preferred =
      this.#eager.firstOf(oldest) ?? (first && first.outgoing.header.sequence <= oldest ? first : undefined)
    if (preferred && fits(preferred, CREDIT_BYTE_LENGTH)) return preferred
    return first && fits(first, CREDIT_BYTE_LENGTH / 2) ? first : undefined
  }

  #writeEager(outgoing: OutgoingMessage): void {
    this.#letGo(outgoing)
    if (hasLostMemory(outgoing)) return this.#failForLostMemory(outgoing)
    const byteLength = frameByteLength(outgoing)
    this.#uncreditedBytes += byteLength
    const frame = uninitializedBytes(byteLength)
    encodeHeader(outgoing.header, frame)
    copyParts(outgoing.parts, [frame.subarray(HEADER_BYTE_LENGTH)])
    this.#write(frame)
    outgoing.resolve()
  }

  /** Sends a message that the peer has posted memory for. */
  sendLarge(outgoing: OutgoingMessage): void {
    this.#hold(outgoing)
    this.#write(outgoing)
  }

  /** Sends a control frame: at once, or behind the payload that is being written. */
  sendControl(kind: FrameKind, fields: Partial<FrameHeader>, payload?: Uint8Array): void {
    this.#write(encodeFrame(kind, fields, payload))
  }

  /** Whether frames with a payload of that call are still to be written. */
  isHolding(sequence: number): boolean {
    return this.#held.has(sequence)
  }

  #hold({ header: { sequence } }: OutgoingMessage): void {
    this.#held.set(sequence, (this.#held.get(sequence) ?? 0) + 1)
  }

  #letGo({ header: { sequence } }: OutgoingMessage): void {
    const left = this.#held.get(sequence)! - 1
    if (left > 0) this.#held.set(sequence, left)
    else this.#held.delete(sequence)
  }

  /**
   * The peer has closed. Frames of collectives that it has completed count as sent, and so do large payloads that it
   * had asked for: it says goodbye only after these have come.
   */
  onPeerDeparture(isOverThere: (sequence: number) => boolean): void {
    this.#hasPeerDeparted = true
    for (const outgoing of this.#eager.drain()) {
      if (isOverThere(outgoing.header.sequence)) this.#settle(outgoing)
      else this.#eager.push(outgoing)
    }
    if (this.#isBroken) this.#settleAsked()
  }

  /** Counts the large payloads that the peer had asked for as sent, because nothing more can be written. */
  #settleAsked(): void {
    const asked = [this.#payload, ...this.#queuedBehindPayload.drain()].filter((entry) => entry && isOutgoing(entry))
    this.#payload = undefined
    for (const outgoing of asked as OutgoingMessage[]) this.#settle(outgoing)
  }

  #settle(outgoing: OutgoingMessage): void {
    this.#letGo(outgoing)
    outgoing.resolve()
  }

  /**
   * Drops everything that has not been written. Then sends `last`, unless the peer would take it for the rest of a
   * payload.
   */
  abort(cause: Error, last: Uint8Array): void {
    const dropped = [...this.#eager.drain(), ...this.#queuedBehindPayload.drain()]
    for (const outgoing of dropped.filter(isOutgoing)) outgoing.reject(cause)
    if (!this.#payload) {
      this.#writer.write(last)
      return this.#writer.end()
    }
    this.#payload.reject(cause)
    this.#writer.destroy()
  }

  // ---- order

  #write(entry: Uint8Array | OutgoingMessage): void {
    if (this.#payload) this.#queuedBehindPayload.push(entry)
    else if (isOutgoing(entry)) this.#beginPayload(entry)
    else this.#writer.write(entry)
  }

  #beginPayload(outgoing: OutgoingMessage): void {
    if (hasLostMemory(outgoing)) return this.#failForLostMemory(outgoing)
    this.#payload = outgoing
    const head = uninitializedBytes(HEADER_BYTE_LENGTH)
    encodeHeader(outgoing.header, head)
    this.#writer.write(head)
    this.#writeChunks(outgoing, chunksOf(outgoing.parts, this.#owner.writeByteLength), 0)
  }

  #writeChunks(outgoing: OutgoingMessage, chunks: readonly Chunk[], index: number): void {
    const chunk = chunks[index]
    if (!chunk) return this.#endPayload(outgoing)
    this.#writer.write(chunk.bytes, (error) => {
      // This check comes first: if the memory has gone, the system may have found nothing to read, and report a broken
      // connection.
      if (!isThere(chunk) || !isThere(chunks[index + 1])) return this.#failForLostMemory(outgoing)
      // The group learns of the end of the connection through the sink, and then ends this payload's call.
      if (error) {
        this.#isBroken = true
        if (this.#hasPeerDeparted) this.#settleAsked()
        return
      }
      this.#owner.onProgress(outgoing.header.sequence)
      this.#writeChunks(outgoing, chunks, index + 1)
    })
  }

  #failForLostMemory(outgoing: OutgoingMessage): void {
    const error = transferredAway()
    outgoing.reject(error)
    this.#owner.onError(error)
  }

  #endPayload(outgoing: OutgoingMessage): void {
    this.#payload = undefined
    this.#letGo(outgoing)
    while (!this.#payload && this.#queuedBehindPayload.length > 0) this.#write(this.#queuedBehindPayload.shift()!)
    outgoing.resolve()
  }
}

/** A frame with a small payload, or none. */
export function encodeFrame(
  kind: FrameKind,
  fields: Partial<FrameHeader>,
  payload: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const empty = { sequence: 0, step: 0, rankFlags: 0, weight: 0, credit: 0, descriptor: NO_DESCRIPTOR }
  const frame = uninitializedBytes(HEADER_BYTE_LENGTH + payload.length)
  encodeHeader({ ...empty, ...fields, kind, payloadByteLength: payload.length }, frame)
  frame.set(payload, HEADER_BYTE_LENGTH)
  return frame
}

function isOutgoing(entry: Uint8Array | OutgoingMessage): entry is OutgoingMessage {
  return 'header' in entry
}

function isThere(chunk: Chunk | undefined): boolean {
  return chunk === undefined || chunk.bytes.length === chunk.byteLength
}

function chunksOf(parts: readonly Uint8Array[], writeByteLength: number): Chunk[] {
  const chunks: Chunk[] = []
  for (const part of parts) {
    for (let at = 0; at < part.length; at += writeByteLength) {
      const bytes = part.subarray(at, at + writeByteLength)
      chunks.push({ bytes, byteLength: bytes.length })
    }
  }
  return chunks
}
