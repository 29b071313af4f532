/**
 * Several connections as one pipe, for links with high bandwidth and long round trips: a single TCP connection sends
 * one window per round trip, and a smaller one after each lost packet.
 *
 * The stream is cut into stripes of equal length, which go to the connections in turn. So both ends know which bytes
 * come over which connection, and the stripes need no headers:
 *
 *     stream         | 0 | 1 | 2 | 3 | 4 | 5 | ..
 *     connection 0   | 0 | 3 | ..
 *     connection 1   | 1 | 4 | ..
 *     connection 2   | 2 | 5 | ..
 *
 * Reading. The sink gets the bytes in the order of the stream. Bytes that come before their turn are read straight into
 * their destination, if the sink knows it (`Sink.targetAhead`), and reported to the sink when their turn comes. If the
 * sink does not know it, the connection is not read, so the bytes wait there, as in a pipe without a sink.
 *
 * If one connection breaks, the whole pipe does.
 */
import { patientTimeout } from '../timing/patience.ts'
import { systemError } from '../errors.ts'
import type { Pipe, Sink } from './transport.ts'

/** Long enough for few reads and writes, short enough that a large message keeps every connection busy. */
export const STRIPE_BYTE_LENGTH: number = 256 << 10
/** How long after the end of one connection the others may take to end, too. */
const END_TOGETHER_MS = 1000
/** The length of memory for bytes that no sink has asked for. */
const SPILL_BYTE_LENGTH = 16 << 10

/** Bytes that one read has brought. */
interface Chunk {
  readonly bytes: Uint8Array
  /** The original length of the bytes: it drops to 0 when their memory is transferred away. */
  readonly byteLength: number
}

/** The reading side of one of the connections. */
class Lane implements Sink {
  readonly pipe: Pipe
  /** Where in the stream the next bytes of this connection belong. */
  streamOffset: number
  /** Chunks that have come before their turn. */
  readonly early: Chunk[] = []
  hasEnded = false
  isDraining = false
  isRead = false
  readonly #owner: StripedPipe
  #memory: Uint8Array = new Uint8Array(0)

  constructor(owner: StripedPipe, pipe: Pipe, streamOffset: number) {
    this.#owner = owner
    this.pipe = pipe
    this.streamOffset = streamOffset
  }

  read(isRead: boolean): void {
    if (isRead === this.isRead) return
    this.isRead = isRead
    this.pipe.setSink(isRead ? this : null)
  }

  /** Reads the connection to its end, whether or not its bytes have a destination, to learn how it ends. */
  drain(): void {
    this.isDraining = true
    this.read(true)
  }

  target(): Uint8Array {
    const { stripeByteLength } = this.#owner
    const memory = this.#owner.targetOf(this) ?? new Uint8Array(SPILL_BYTE_LENGTH)
    return (this.#memory = memory.subarray(0, stripeByteLength - (this.streamOffset % stripeByteLength)))
  }

  onFilled(byteLength: number): void {
    // Memory that has been transferred away has length 0, and no subarray.
    const bytes = this.#memory.length > byteLength ? this.#memory.subarray(0, byteLength) : this.#memory
    this.#owner.onBytes(this, { bytes, byteLength })
  }

  onEnd(error?: Error): void {
    this.hasEnded = true
    this.#owner.onLaneEnd(this, error)
  }
}

interface Write {
  /** How many of its parts have not been taken yet. */
  left: number
  error: Error | undefined
  readonly done: ((error?: Error) => void) | undefined
}

export class StripedPipe implements Pipe {
  readonly stripeByteLength: number
  readonly remoteAddress: string
  readonly localAddress: string
  readonly closed: Promise<void>
  readonly #lanes: readonly Lane[]
  #sink: Sink | null = null
  /** How many bytes of the stream have gone to sinks. */
  #deliveredBytes = 0
  /** The connection that reads into the sink's current target; undefined if that target has been used. */
  #laneOfTarget: Lane | undefined
  #written = 0
  #writes: Write[] = []
  #isEnding = false
  /** Whether the stream is over, and whether bytes are missing in it. */
  #isOver = false
  #isCut = false
  #error: Error | undefined
  #end: { error: Error | undefined } | undefined
  #hasToldEnd = false

  /**
   * @param pipes - at least one, in the same order at both ends; without sinks, and before any byte of the stream
   * @param stripeByteLength - the same at both ends
   */
  constructor(pipes: readonly Pipe[], stripeByteLength: number = STRIPE_BYTE_LENGTH) {
    this.stripeByteLength = stripeByteLength
    this.#lanes = pipes.map((pipe, index) => new Lane(this, pipe, index * stripeByteLength))
    this.remoteAddress = pipes[0]!.remoteAddress
    this.localAddress = pipes[0]!.localAddress
    this.closed = Promise.all(pipes.map((pipe) => pipe.closed)).then(() => undefined)
    // A connection that is not read does not report that it breaks.
    for (const lane of this.#lanes) void lane.pipe.closed.then(() => lane.drain())
  }

  // ---- writing

  write(bytes: Uint8Array, done?: (error?: Error) => void): void {
    if (this.#isEnding || this.#error) {
      const error = this.#error ?? systemError('EPIPE', `write after the pipe to ${this.remoteAddress} was ended`)
      process.nextTick(() => done?.(error))
      return
    }
    const write: Write = { left: 0, error: undefined, done }
    this.#writes.push(write)
    const { length } = bytes
    let from = 0
    do {
      const rest = this.stripeByteLength - (this.#written % this.stripeByteLength)
      const part = from === 0 && length <= rest ? bytes : bytes.subarray(from, from + rest)
      const { pipe } = this.#laneAt(this.#written)
      write.left++
      pipe.write(part, (error) => this.#onPartWritten(write, error))
      this.#written += part.length
      from += part.length
    } while (from < length)
  }

  /** Parts are written in any order, but the `done` callbacks of writes are called in the order of the writes. */
  #onPartWritten(write: Write, error: Error | undefined): void {
    write.left--
    write.error ??= error
    while (this.#writes[0]?.left === 0) {
      const { done, error } = this.#writes.shift()!
      done?.(error)
    }
    if (error) this.#break(error)
  }

  end(): void {
    if (this.#isEnding) return
    this.#isEnding = true
    for (const { pipe } of this.#lanes) pipe.end()
  }

  // ---- reading

  setSink(sink: Sink | null): void {
    this.#sink = sink
    this.#laneOfTarget = undefined
    if (sink === null) for (const lane of this.#lanes) lane.read(lane.isDraining)
    // In a microtask, so that setSink never calls a sink itself.
    else queueMicrotask(() => this.#resume())
  }

  #resume(): void {
    this.#deliverEarly()
    for (const lane of this.#lanes) this.#readOrPause(lane)
    this.#tellEnd()
  }

  /** The memory for the next bytes of a connection; undefined if the sink does not know their destination. */
  targetOf(lane: Lane): Uint8Array | undefined {
    const sink = this.#sink
    if (sink === null || this.#isOver) return undefined
    if (lane.streamOffset !== this.#deliveredBytes) return sink.targetAhead?.(lane.streamOffset - this.#deliveredBytes)
    this.#laneOfTarget = lane
    return sink.target()
  }

  /** Bytes have come over a connection, into the memory that `targetOf` gave it last. */
  onBytes(lane: Lane, chunk: Chunk): void {
    if (this.#error) return
    // Bytes that come after the end of the stream show that a part before them is missing.
    if (this.#isOver) return void (this.#isCut = true)
    const isNext = lane.streamOffset === this.#deliveredBytes
    lane.streamOffset += chunk.byteLength
    if (lane.streamOffset % this.stripeByteLength === 0)
      lane.streamOffset += (this.#lanes.length - 1) * this.stripeByteLength
    if (isNext) this.#deliver(lane, chunk)
    else lane.early.push(chunk)
    this.#deliverEarly()
    // Connections that are being read keep their targets.
    for (const other of this.#lanes) if (other === lane || !other.isRead) this.#readOrPause(other)
  }

  /** Reads a connection if the destination of its next bytes is known, else pauses it. */
  #readOrPause(lane: Lane): void {
    const sink = this.#error || this.#isOver ? null : this.#sink
    const ahead = lane.streamOffset - this.#deliveredBytes
    lane.read(lane.isDraining || (sink !== null && (ahead === 0 || sink.targetAhead?.(ahead) !== undefined)))
  }

  /** Delivers the chunks whose turn has come. */
  #deliverEarly(): void {
    while (this.#sink !== null && !this.#error) {
      const lane = this.#laneAt(this.#deliveredBytes)
      const chunk = lane.early.shift()
      if (chunk) this.#deliver(lane, chunk)
      else if (lane.hasEnded) return this.#onStreamEnd()
      else return
    }
  }

  /** Delivers the next bytes of the stream to the sink. */
  #deliver(lane: Lane, { bytes, byteLength }: Chunk): void {
    const isGone = bytes.length !== byteLength
    for (let from = 0; from < byteLength && !this.#error;) {
      const sink = this.#sink
      // The bytes are copied: their memory is the old sink's, which may use it for something else.
      if (sink === null) {
        const rest = isGone ? bytes : new Uint8Array(bytes.subarray(from))
        return void lane.early.unshift({ bytes: rest, byteLength: byteLength - from })
      }
      let count = byteLength
      if (this.#laneOfTarget !== lane || from > 0) {
        const target = sink.target()
        count = Math.min(target.length, byteLength - from)
        // If the memory has been transferred away, the sink notices it by itself.
        if (!isGone && !isSameMemory(target, bytes, from)) target.set(bytes.subarray(from, from + count))
      }
      this.#laneOfTarget = undefined
      this.#deliveredBytes += count
      from += count
      sink.onFilled(count)
    }
  }

  #laneAt(offset: number): Lane {
    return this.#lanes[Math.floor(offset / this.stripeByteLength) % this.#lanes.length]!
  }

  // ---- the end

  onLaneEnd(lane: Lane, error: Error | undefined): void {
    if (error) return this.#break(error)
    if (this.#isOver) this.#endTogether()
    else this.#deliverEarly()
  }

  /** The connection whose turn it is has ended. If the other end has ended the pipe, all others end, too. */
  #onStreamEnd(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#isCut = this.#lanes.some(({ early }) => early.length > 0)
    for (const lane of this.#lanes) lane.drain()
    this.#endTogether()
    const count = this.#lanes.length
    const error = systemError('ECONNRESET', `one of the ${count} connections to ${this.remoteAddress} ended alone`)
    patientTimeout(() => this.#end ?? this.#break(error), END_TOGETHER_MS, false)
  }

  #endTogether(): void {
    if (!this.#lanes.every(({ hasEnded }) => hasEnded)) return
    const cut = systemError('ECONNRESET', `the pipe to ${this.remoteAddress} ended with a part of it missing`)
    if (this.#isCut) this.#break(cut)
    else this.#finish(undefined)
  }

  destroy(): void {
    this.#break(systemError('ECONNABORTED', `the pipe to ${this.remoteAddress} was destroyed`))
  }

  #break(error: Error): void {
    this.#error ??= error
    for (const lane of this.#lanes) {
      lane.early.length = 0
      lane.pipe.destroy()
    }
    this.#finish(error)
  }

  #finish(error: Error | undefined): void {
    this.#end ??= { error }
    queueMicrotask(() => this.#tellEnd())
  }

  #tellEnd(): void {
    if (!this.#end || this.#hasToldEnd || this.#sink === null) return
    this.#hasToldEnd = true
    this.#sink.onEnd(this.#end.error)
  }

  ref(): void {
    for (const { pipe } of this.#lanes) pipe.ref()
  }

  unref(): void {
    for (const { pipe } of this.#lanes) pipe.unref()
  }
}

/** Whether a target is where the bytes lie already, from one of them on. */
function isSameMemory(target: Uint8Array, bytes: Uint8Array, from: number): boolean {
  return target.buffer === bytes.buffer && target.byteOffset === bytes.byteOffset + from
}
