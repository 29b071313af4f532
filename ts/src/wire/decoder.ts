/**
 * The incremental frame decoder of one connection. It is a sink: a transport reads into the memory it names.
 *
 * Headers, and whatever comes with them, are read into a small spill buffer; the rest of a large payload goes straight
 * to where it belongs. The state is just the bytes of an unfinished header, or a payload and how much of it has come, so
 * a stream may be cut anywhere.
 */
import { uninitializedBytes } from '#platform'
import { totalByteLength, transferredAway } from '../tensor/check.ts'
import type { Sink } from '../transport/transport.ts'
import { type FrameHeader, HEADER_BYTE_LENGTH, decodeHeader } from './frame.ts'

/** Large enough for an eager frame, so that one read takes it whole. */
const SPILL_BYTE_LENGTH = HEADER_BYTE_LENGTH + (64 << 10)

/** Below this it is cheaper to copy out of the spill buffer than to make a separate read of a payload's rest. */
const DIRECT_BYTE_LENGTH = 16 << 10

export interface FrameHandler {
  /**
   * A header has come. Returns the memory for its payload, in consecutive parts that together are payloadByteLength long;
   * throws an AdasumError if no such frame may come.
   */
  begin(header: FrameHeader): readonly Uint8Array[]
  /** Some bytes of the payload have come; now there are `byteLength` of it. */
  progress(header: FrameHeader, byteLength: number): void
  /** The frame is complete. */
  complete(header: FrameHeader, payload: readonly Uint8Array[]): void
  /** What came is no frame, or one that `begin` or `complete` refused; nothing more is read. */
  failed(error: Error): void
  /** The connection ended, `insideFrame` if a frame was under way. */
  ended(insideFrame: boolean, error?: Error): void
}

interface Payload {
  readonly header: FrameHeader
  readonly parts: readonly Uint8Array[]
  /** What the parts' lengths were: they drop to 0 when their memory is transferred away. */
  readonly byteLengths: readonly number[]
  /** The part being filled, how much of it is, and how much there is of the payload. */
  part: number
  filled: number
  total: number
}

export class FrameDecoder implements Sink {
  readonly #handler: FrameHandler
  /** Made when it is first needed: on most connections that this rank writes to nothing ever comes. */
  #spill: Uint8Array | undefined
  readonly #header = new Uint8Array(HEADER_BYTE_LENGTH)
  #headerFilled = 0
  #payload: Payload | undefined
  #direct = false
  #failed = false

  constructor(handler: FrameHandler) {
    this.#handler = handler
  }

  target(): Uint8Array {
    const payload = this.#failed ? undefined : this.#payload
    // Memory that has been transferred away has no rest; `filled` says so, since this must not throw.
    const rest = payload && isKept(payload) ? restOfPart(payload) : undefined
    this.#direct = rest !== undefined && rest.length >= DIRECT_BYTE_LENGTH
    return this.#direct ? rest! : (this.#spill ??= uninitializedBytes(SPILL_BYTE_LENGTH))
  }

  /** Only what belongs to the payload under way has its place already. */
  ahead(distance: number): Uint8Array | undefined {
    const payload = this.#failed ? undefined : this.#payload
    if (!payload) return undefined
    const { parts, byteLengths } = payload
    let at = payload.filled + distance
    for (let part = payload.part; part < parts.length; part++) {
      if (at < byteLengths[part]!) return at < parts[part]!.length ? parts[part]!.subarray(at) : undefined
      at -= byteLengths[part]!
    }
    return undefined
  }

  filled(byteLength: number): void {
    if (this.#failed) return
    try {
      if (this.#direct) this.#advance(byteLength)
      else this.#consume(this.#spill!.subarray(0, byteLength))
    } catch (error) {
      this.#failed = true
      this.#payload = undefined
      this.#handler.failed(error as Error)
    }
  }

  ended(error?: Error): void {
    if (this.#failed) return
    this.#failed = true
    const insideFrame = this.#headerFilled > 0 || this.#payload !== undefined
    this.#payload = undefined
    this.#handler.ended(insideFrame, error)
  }

  #consume(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length && !this.#failed;) {
      if (this.#payload) {
        if (!isKept(this.#payload)) throw transferredAway()
        const rest = restOfPart(this.#payload)
        const count = Math.min(rest.length, bytes.length - at)
        rest.set(bytes.subarray(at, at + count))
        at += count
        this.#advance(count)
      } else {
        const count = Math.min(HEADER_BYTE_LENGTH - this.#headerFilled, bytes.length - at)
        this.#header.set(bytes.subarray(at, at + count), this.#headerFilled)
        at += count
        this.#headerFilled += count
        if (this.#headerFilled === HEADER_BYTE_LENGTH) this.#beginPayload()
      }
    }
  }

  #beginPayload(): void {
    this.#headerFilled = 0
    const header = decodeHeader(this.#header)
    const parts = this.#handler.begin(header)
    if (totalByteLength(parts) !== header.payloadByteLength) throw transferredAway()
    this.#payload = { header, parts, byteLengths: parts.map(({ length }) => length), part: 0, filled: 0, total: 0 }
    this.#skipFullParts()
  }

  #advance(byteLength: number): void {
    const payload = this.#payload!
    if (!isKept(payload)) throw transferredAway()
    payload.filled += byteLength
    payload.total += byteLength
    this.#handler.progress(payload.header, payload.total)
    this.#skipFullParts()
  }

  #skipFullParts(): void {
    const payload = this.#payload!
    while (payload.part < payload.parts.length && payload.filled === payload.byteLengths[payload.part]) {
      payload.part++
      payload.filled = 0
    }
    if (payload.part < payload.parts.length) return
    this.#payload = undefined
    this.#handler.complete(payload.header, payload.parts)
  }
}

function isKept({ parts, byteLengths, part }: Payload): boolean {
  return parts[part]!.length === byteLengths[part]
}

function restOfPart({ parts, part, filled }: Payload): Uint8Array {
  return parts[part]!.subarray(filled)
}
