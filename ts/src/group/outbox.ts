/**
 * The written connection of a link: frames out, in order, small ones against the peer's credit.
 *
 * Credit. Of the peer's credit the calls that are not this rank's oldest may use half: otherwise, where one rank issues many
 * calls at once and another awaits each, frames of calls that the peer has not begun would keep back the next step of
 * the one that it waits for.
 *
 * Memory. A small frame is one buffer and one write, so its payload is copied. A large payload is handed over where it lies, chunk
 * by chunk, and everything behind it waits: the caller may transfer the memory away at any time, and then not a byte may
 * follow that the peer would take for the rest of the payload.
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
import { type Outgoing, frameByteLength, hasLostMemory } from './outgoing.ts'
import { Queue } from '../queue.ts'

export interface OutboxOwner {
  /** Large payloads are handed over in writes of this size, so that their progress can be seen. */
  readonly writeByteLength: number
  /** The sequence number of the oldest call under way; infinity if there is none. */
  readonly oldestSequence: () => number
  /** A part of that collective has been handed over. */
  readonly progressed: (sequence: number) => void
  /** A message can never be sent, and the peer will wait for it in vain. */
  readonly failed: (error: Error) => void
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
  #payload: Outgoing | undefined
  readonly #queuedBehindPayload = new Queue<Uint8Array | Outgoing>()
  /** How many frames with a payload are still to be written, by collective. */
  readonly #held = new Map<number, number>()
  #isOpen = false
  /** A payload could not be handed over whole: the connection has ended. */
  #isBroken = false
  #hasPeerDeparted = false

  constructor(writer: Pipe, owner: OutboxOwner) {
    this.#writer = writer
    this.#owner = owner
  }

  /**
   * The connection is there. Until then small frames are kept here, and count as not sent: a rank that has sent all of
   * its may end.
   */
  open(): void {
    this.#isOpen = true
    this.flush()
  }

  /** Sends as soon as the peer's credit allows. */
  sendEager(outgoing: Outgoing): void {
    this.#hold(outgoing)
    this.#eager.push(outgoing)
    this.flush()
  }

  /** The peer has consumed that many eager bytes. */
  credit(byteLength: number): void {
    this.#uncreditedBytes = Math.max(0, this.#uncreditedBytes - byteLength)
    this.flush()
  }

  /** Sends the small frames for which there is credit, those of the oldest call first. */
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

  #writeEager(outgoing: Outgoing): void {
    this.#letGo(outgoing)
    if (hasLostMemory(outgoing)) return this.#lose(outgoing)
    const byteLength = frameByteLength(outgoing)
    this.#uncreditedBytes += byteLength
    const frame = uninitializedBytes(byteLength)
    encodeHeader(outgoing.header, frame)
    copyParts(outgoing.parts, [frame.subarray(HEADER_BYTE_LENGTH)])
    this.#write(frame)
    outgoing.resolve()
  }

  /** Sends a payload that the peer has posted memory for. */
  sendLarge(outgoing: Outgoing): void {
    this.#hold(outgoing)
    this.#write(outgoing)
  }

  /** Sends a frame of the link's own, at once unless a payload is being written. */
  control(kind: FrameKind, fields: Partial<FrameHeader>, payload?: Uint8Array): void {
    this.#write(encodeFrame(kind, fields, payload))
  }

  /** Whether frames of that collective are still to be written. */
  isHolding(sequence: number): boolean {
    return this.#held.has(sequence)
  }

  #hold({ header: { sequence } }: Outgoing): void {
    this.#held.set(sequence, (this.#held.get(sequence) ?? 0) + 1)
  }

  #letGo({ header: { sequence } }: Outgoing): void {
    const left = this.#held.get(sequence)! - 1
    if (left > 0) this.#held.set(sequence, left)
    else this.#held.delete(sequence)
  }

  /**
   * The peer has closed. What it was through with before counts as sent, and so does what it had asked for: it says goodbye
   * only when that has come.
   */
  departed(isOverThere: (sequence: number) => boolean): void {
    this.#hasPeerDeparted = true
    for (const outgoing of this.#eager.drain()) {
      if (isOverThere(outgoing.header.sequence)) this.#settle(outgoing)
      else this.#eager.push(outgoing)
    }
    if (this.#isBroken) this.#settleAsked()
  }

  /** Nothing more can be written. */
  #settleAsked(): void {
    const asked = [this.#payload, ...this.#queuedBehindPayload.drain()].filter((entry) => entry && isOutgoing(entry))
    this.#payload = undefined
    for (const outgoing of asked as Outgoing[]) this.#settle(outgoing)
  }

  #settle(outgoing: Outgoing): void {
    this.#letGo(outgoing)
    outgoing.resolve()
  }

  /** Drops what has not been handed over. Then sends `last`, unless the peer would take it for the rest of a payload. */
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

  #write(entry: Uint8Array | Outgoing): void {
    if (this.#payload) this.#queuedBehindPayload.push(entry)
    else if (isOutgoing(entry)) this.#beginPayload(entry)
    else this.#writer.write(entry)
  }

  #beginPayload(outgoing: Outgoing): void {
    if (hasLostMemory(outgoing)) return this.#lose(outgoing)
    this.#payload = outgoing
    const head = uninitializedBytes(HEADER_BYTE_LENGTH)
    encodeHeader(outgoing.header, head)
    this.#writer.write(head)
    this.#writeChunks(outgoing, chunksOf(outgoing.parts, this.#owner.writeByteLength), 0)
  }

  #writeChunks(outgoing: Outgoing, chunks: readonly Chunk[], index: number): void {
    const chunk = chunks[index]
    if (!chunk) return this.#endPayload(outgoing)
    this.#writer.write(chunk.bytes, (error) => {
      // Asked first: where the memory was, the system may have found nothing to read, and reports a broken connection.
      if (!isThere(chunk) || !isThere(chunks[index + 1])) return this.#lose(outgoing)
      // The end of the connection tells the group, which then ends this payload's call.
      if (error) {
        this.#isBroken = true
        if (this.#hasPeerDeparted) this.#settleAsked()
        return
      }
      this.#owner.progressed(outgoing.header.sequence)
      this.#writeChunks(outgoing, chunks, index + 1)
    })
  }

  #lose(outgoing: Outgoing): void {
    const error = transferredAway()
    outgoing.reject(error)
    this.#owner.failed(error)
  }

  #endPayload(outgoing: Outgoing): void {
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
  const empty = { sequence: 0, step: 0, rankFlags: 0, credit: 0, descriptor: NO_DESCRIPTOR }
  const frame = uninitializedBytes(HEADER_BYTE_LENGTH + payload.length)
  encodeHeader({ ...empty, ...fields, kind, payloadByteLength: payload.length }, frame)
  frame.set(payload, HEADER_BYTE_LENGTH)
  return frame
}

function isOutgoing(entry: Uint8Array | Outgoing): entry is Outgoing {
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
