/**
 * The incremental frame decoder of one connection. It is a sink, so the transport reads into memory that the decoder
 * gives.
 *
 * Headers, and the bytes that come with them, are read into a small spill buffer; the rest of a large payload is read
 * straight into its destination. The state is either the bytes of an unfinished header, or a payload and how much of it
 * has come. So the stream may arrive in pieces of any length.
 */
import { uninitializedBytes } from '#platform'
import { AdasumError } from '../errors.ts'
import { totalByteLength, transferredAway } from '../tensor/check.ts'
import type { Sink } from '../transport/transport.ts'
import { RecordError } from './checked-pipe.ts'
import { type FrameHeader, HEADER_BYTE_LENGTH, decodeHeader } from './frame.ts'

/** The spill buffer takes a whole eager frame in one read. */
const SPILL_BYTE_LENGTH = HEADER_BYTE_LENGTH + (64 << 10)

/** If less than this is left of a payload, copying it out of the spill buffer is cheaper than a read of its own. */
const DIRECT_BYTE_LENGTH = 16 << 10

export interface FrameHandler {
  /**
   * A header has come. Returns the memory for its payload, in consecutive parts that together are payloadByteLength
   * long; throws an AdasumError if no such frame may come.
   */
  begin(header: FrameHeader): readonly Uint8Array[]
  /** Some bytes of the payload have come; now there are `byteLength` of it. */
  onProgress(header: FrameHeader, byteLength: number): void
  /** The frame is complete. */
  onComplete(header: FrameHeader, payload: readonly Uint8Array[]): void
  /** The bytes are no frame, or not those that were sent, or `begin` or `onComplete` has thrown. Nothing more is read. */
  onError(error: Error): void
  /** The connection has ended; `insideFrame` says whether in the middle of a frame. */
  onEnd(insideFrame: boolean, error?: Error): void
}

interface Payload {
  readonly header: FrameHeader
  readonly parts: readonly Uint8Array[]
  /** The original lengths of the parts: a part's length drops to 0 when its memory is transferred away. */
  readonly byteLengths: readonly number[]
  /** The index of the part being filled, how much of that part is filled, and how much of the payload. */
  part: number
  filled: number
  total: number
}

export class FrameDecoder implements Sink {
  readonly #handler: FrameHandler
  /** Made when it is first needed: on most connections that this rank only writes to, nothing ever comes. */
  #spill: Uint8Array | undefined
  readonly #header = new Uint8Array(HEADER_BYTE_LENGTH)
  #headerFilled = 0
  #payload: Payload | undefined
  #isDirect = false
  #isOver = false

  constructor(handler: FrameHandler) {
    this.#handler = handler
  }

  target(): Uint8Array {
    const payload = this.#isOver ? undefined : this.#payload
    // This must not throw. If the memory has been transferred away, `onFilled` reports it.
    const rest = payload && isKept(payload) ? restOfPart(payload) : undefined
    this.#isDirect = rest !== undefined && rest.length >= DIRECT_BYTE_LENGTH
    return this.#isDirect ? rest! : (this.#spill ??= uninitializedBytes(SPILL_BYTE_LENGTH))
  }

  /** Only bytes of the payload under way have a known destination. */
  targetAhead(distance: number): Uint8Array | undefined {
    const payload = this.#isOver ? undefined : this.#payload
    if (!payload) return undefined
    const { parts, byteLengths } = payload
    let at = payload.filled + distance
    for (let part = payload.part; part < parts.length; part++) {
      if (at < byteLengths[part]!) return at < parts[part]!.length ? parts[part]!.subarray(at) : undefined
      at -= byteLengths[part]!
    }
    return undefined
  }

  onFilled(byteLength: number): void {
    if (this.#isOver) return
    try {
      if (this.#isDirect) this.#advance(byteLength)
      else this.#consume(this.#spill!.subarray(0, byteLength))
    } catch (error) {
      this.#isOver = true
      this.#payload = undefined
      this.#handler.onError(error as Error)
    }
  }

  onEnd(error?: Error): void {
    if (this.#isOver) return
    this.#isOver = true
    const insideFrame = this.#headerFilled > 0 || this.#payload !== undefined
    this.#payload = undefined
    if (RecordError.is(error)) this.#handler.onError(new AdasumError('ERR_MISMATCH', error.message))
    else this.#handler.onEnd(insideFrame, error)
  }

  #consume(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length && !this.#isOver;) {
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
    this.#handler.onProgress(payload.header, payload.total)
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
    this.#handler.onComplete(payload.header, payload.parts)
  }
}

function isKept({ parts, byteLengths, part }: Payload): boolean {
  return parts[part]!.length === byteLengths[part]
}

function restOfPart({ parts, part, filled }: Payload): Uint8Array {
  return parts[part]!.subarray(filled)
}
