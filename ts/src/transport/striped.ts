/**
 * Several connections as one pipe, for long fat links: a single TCP connection sends a window a round trip, and less of it
 * after each packet that is lost.
 *
 * The stream is cut into stripes of one length, which are dealt out in turn. So both ends know which bytes come where, and
 * nothing is added to them:
 *
 *     stream         | 0 | 1 | 2 | 3 | 4 | 5 | ..
 *     connection 0   | 0 | 3 | ..
 *     connection 1   | 1 | 4 | ..
 *     connection 2   | 2 | 5 | ..
 *
 * Reading. The sink hears of the bytes in their order. What comes before its turn is read straight into where it belongs, if
 * the sink says where that is (`Sink.ahead`), and told of when its turn comes. Where it does not, the connection is not read:
 * what comes waits there, as for a pipe without a sink.
 *
 * One connection that breaks breaks them all.
 */
import { patientTimeout } from '../timing/patience.ts'
import { systemError } from '../errors.ts'
import type { Pipe, Sink } from './transport.ts'

/** Long enough for few reads and writes, short enough that a large message keeps every connection busy. */
export const STRIPE_BYTE_LENGTH: number = 256 << 10
/** How long after the end of one connection the others may take to end, too. */
const END_TOGETHER_MS = 1000
/** For what comes where nobody has asked for it. */
const SPILL_BYTE_LENGTH = 16 << 10

/** What has come over a connection before its turn. */
interface Landed {
  readonly bytes: Uint8Array
  /** What the bytes' length was: it drops to 0 when their memory is transferred away. */
  readonly byteLength: number
}

/** One of the connections, as it is read. */
class Lane implements Sink {
  readonly pipe: Pipe
  /** Where in the stream the next bytes of this connection belong. */
  at: number
  readonly landed: Landed[] = []
  hasEnded = false
  isDraining = false
  isRead = false
  readonly #owner: StripedPipe
  #memory: Uint8Array = new Uint8Array(0)

  constructor(owner: StripedPipe, pipe: Pipe, at: number) {
    this.#owner = owner
    this.pipe = pipe
    this.at = at
  }

  read(isRead: boolean): void {
    if (isRead === this.isRead) return
    this.isRead = isRead
    this.pipe.setSink(isRead ? this : null)
  }

  /** Takes what the connection has kept, wherever it belongs, and hears how it has ended. */
  drain(): void {
    this.isDraining = true
    this.read(true)
  }

  target(): Uint8Array {
    const { stripeByteLength } = this.#owner
    const memory = this.#owner.placeOf(this) ?? new Uint8Array(SPILL_BYTE_LENGTH)
    return (this.#memory = memory.subarray(0, stripeByteLength - (this.at % stripeByteLength)))
  }

  filled(byteLength: number): void {
    // What has been transferred away has no part.
    const bytes = this.#memory.length > byteLength ? this.#memory.subarray(0, byteLength) : this.#memory
    this.#owner.came(this, { bytes, byteLength })
  }

  ended(error?: Error): void {
    this.hasEnded = true
    this.#owner.laneEnded(this, error)
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
  /** So much of the stream has gone to a sink. */
  #deliveredBytes = 0
  /** The connection for which the sink has last been asked for a target; undefined if that has been used. */
  #laneOfTarget: Lane | undefined
  #written = 0
  #writes: Write[] = []
  #isEnding = false
  /** No byte of the stream will come any more; some are missing in between, if `isCut`. */
  #isOver = false
  #isCut = false
  #error: Error | undefined
  #end: { error: Error | undefined } | undefined
  #hasToldEnd = false

  /**
   * @param pipes - at least one, in the same order at both ends; without sinks, and nothing of the stream has gone over them
   * @param stripeByteLength - the same at both ends
   */
  constructor(pipes: readonly Pipe[], stripeByteLength: number = STRIPE_BYTE_LENGTH) {
    this.stripeByteLength = stripeByteLength
    this.#lanes = pipes.map((pipe, index) => new Lane(this, pipe, index * stripeByteLength))
    this.remoteAddress = pipes[0]!.remoteAddress
    this.localAddress = pipes[0]!.localAddress
    this.closed = Promise.all(pipes.map((pipe) => pipe.closed)).then(() => undefined)
    // A connection that is not read says nothing when it breaks.
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
      pipe.write(part, (error) => this.#wrote(write, error))
      this.#written += part.length
      from += part.length
    } while (from < length)
  }

  /** Parts are taken in any order, writes are done in theirs. */
  #wrote(write: Write, error: Error | undefined): void {
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
    // Later, so that nobody is called back from inside setSink.
    else queueMicrotask(() => this.#resume())
  }

  #resume(): void {
    this.#tellLanded()
    for (const lane of this.#lanes) this.#adjust(lane)
    this.#tellEnd()
  }

  /** Memory for the next bytes of a connection, if anybody knows where they belong. */
  placeOf(lane: Lane): Uint8Array | undefined {
    const sink = this.#sink
    if (sink === null || this.#isOver) return undefined
    if (lane.at !== this.#deliveredBytes) return sink.ahead?.(lane.at - this.#deliveredBytes)
    this.#laneOfTarget = lane
    return sink.target()
  }

  /** Bytes have come over a connection, into the memory that it named last. */
  came(lane: Lane, landed: Landed): void {
    if (this.#error) return
    // Whatever comes behind the end belongs behind something that will not come.
    if (this.#isOver) return void (this.#isCut = true)
    const isNext = lane.at === this.#deliveredBytes
    lane.at += landed.byteLength
    if (lane.at % this.stripeByteLength === 0) lane.at += (this.#lanes.length - 1) * this.stripeByteLength
    if (isNext) this.#tell(lane, landed)
    else lane.landed.push(landed)
    this.#tellLanded()
    // The others have their places still.
    for (const other of this.#lanes) if (other === lane || !other.isRead) this.#adjust(other)
  }

  /** Reads a connection if its next bytes have a place. */
  #adjust(lane: Lane): void {
    const sink = this.#error || this.#isOver ? null : this.#sink
    const ahead = lane.at - this.#deliveredBytes
    lane.read(lane.isDraining || (sink !== null && (ahead === 0 || sink.ahead?.(ahead) !== undefined)))
  }

  /** What has come before its turn, as far as that has come. */
  #tellLanded(): void {
    while (this.#sink !== null && !this.#error) {
      const lane = this.#laneAt(this.#deliveredBytes)
      const landed = lane.landed.shift()
      if (landed) this.#tell(lane, landed)
      else if (lane.hasEnded) return this.#noMore()
      else return
    }
  }

  /** The next bytes of the stream. */
  #tell(lane: Lane, { bytes, byteLength }: Landed): void {
    const isGone = bytes.length !== byteLength
    for (let from = 0; from < byteLength && !this.#error;) {
      const sink = this.#sink
      // The memory is the old sink's, which may use it for something else.
      if (sink === null) {
        const rest = isGone ? bytes : new Uint8Array(bytes.subarray(from))
        return void lane.landed.unshift({ bytes: rest, byteLength: byteLength - from })
      }
      let count = byteLength
      if (this.#laneOfTarget !== lane || from > 0) {
        const target = sink.target()
        count = Math.min(target.length, byteLength - from)
        // Memory that has been transferred away: the sink sees it for itself.
        if (!isGone && !isSameMemory(target, bytes, from)) target.set(bytes.subarray(from, from + count))
      }
      this.#laneOfTarget = undefined
      this.#deliveredBytes += count
      from += count
      sink.filled(count)
    }
  }

  #laneAt(offset: number): Lane {
    return this.#lanes[Math.floor(offset / this.stripeByteLength) % this.#lanes.length]!
  }

  // ---- the end

  laneEnded(lane: Lane, error: Error | undefined): void {
    if (error) return this.#break(error)
    if (this.#isOver) this.#endTogether()
    else this.#tellLanded()
  }

  /** The connection whose turn it is has ended: so have the others, if the other end has ended the pipe. */
  #noMore(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#isCut = this.#lanes.some(({ landed }) => landed.length > 0)
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
      lane.landed.length = 0
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
    this.#sink.ended(this.#end.error)
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
