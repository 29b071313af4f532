/**
 * The written connection of a link: frames out, in order, small ones against the peer's credit.
 *
 * A small frame is one buffer and one write, so its payload is copied; a large payload is handed over where it lies.
 */
import type { Pipe } from '../transport/transport.ts'
import {
  CREDIT_BYTE_LENGTH,
  type FrameHeader,
  type FrameKind,
  HEADER_BYTE_LENGTH,
  NO_DESCRIPTOR,
  encodeHeader,
} from '../wire/frame.ts'
import { copyParts } from './parts.ts'

/** Large payloads are handed over in writes of this size, so that their progress can be seen. */
const WRITE_BYTE_LENGTH = 8 << 20

export interface Outgoing {
  readonly header: FrameHeader
  readonly parts: readonly Uint8Array[]
  /** The memory may change again. */
  resolve(): void
  reject(error: Error): void
}

export class Outbox {
  readonly #writer: Pipe
  readonly #progressed: (sequence: number) => void
  #queue: Outgoing[] = []
  /** Eager bytes that the peer has not reported as consumed. */
  #underWay = 0

  constructor(writer: Pipe, progressed: (sequence: number) => void) {
    this.#writer = writer
    this.#progressed = progressed
  }

  /** Sends as soon as the peer's credit allows. */
  sendEager(outgoing: Outgoing): void {
    this.#queue.push(outgoing)
    this.#flush()
  }

  /** The peer has consumed that many eager bytes. */
  credit(byteLength: number): void {
    this.#underWay = Math.max(0, this.#underWay - byteLength)
    this.#flush()
  }

  #flush(): void {
    while (this.#queue.length > 0) {
      const cost = HEADER_BYTE_LENGTH + this.#queue[0]!.header.payloadByteLength
      if (this.#underWay + cost > CREDIT_BYTE_LENGTH) return
      this.#underWay += cost
      const { header, parts, resolve } = this.#queue.shift()!
      const frame = Buffer.allocUnsafe(cost)
      encodeHeader(header, frame)
      copyParts(parts, [frame.subarray(HEADER_BYTE_LENGTH)])
      this.#writer.write(frame)
      resolve()
    }
  }

  /** Whether frames of that collective wait for credit. */
  isHolding(sequence: number): boolean {
    return this.#queue.some(({ header }) => header.sequence === sequence)
  }

  /** Sends a payload that the peer has posted memory for. */
  sendLarge({ header, parts, resolve, reject }: Outgoing): void {
    const head = Buffer.allocUnsafe(HEADER_BYTE_LENGTH)
    encodeHeader(header, head)
    this.#writer.write(head)
    const chunks = parts.flatMap(chunksOf)
    chunks.forEach((chunk, index) =>
      this.#writer.write(chunk, (error) => {
        // The connection's own end tells the group; here it only matters that the memory is free.
        if (error) return reject(error)
        this.#progressed(header.sequence)
        if (index === chunks.length - 1) resolve()
      }),
    )
  }

  /** Sends a frame of the link's own, at once. */
  control(kind: FrameKind, fields: Partial<FrameHeader>, payload: Uint8Array = new Uint8Array(0)): void {
    const empty = { sequence: 0, step: 0, rankFlags: 0, credit: 0, descriptor: NO_DESCRIPTOR }
    const frame = Buffer.allocUnsafe(HEADER_BYTE_LENGTH + payload.length)
    encodeHeader({ ...empty, ...fields, kind, payloadByteLength: payload.length }, frame)
    frame.set(payload, HEADER_BYTE_LENGTH)
    this.#writer.write(frame)
  }

  /** Drops what has not been handed over. */
  rejectAll(cause: Error): void {
    for (const outgoing of this.#queue.splice(0)) outgoing.reject(cause)
  }
}

function chunksOf(part: Uint8Array): Uint8Array[] {
  const chunks: Uint8Array[] = []
  for (let at = 0; at < part.length; at += WRITE_BYTE_LENGTH) chunks.push(part.subarray(at, at + WRITE_BYTE_LENGTH))
  return chunks
}
