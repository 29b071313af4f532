/**
 * The reading end of a pipe: hands bytes to whichever sink the pipe has, in order, and keeps them while it has none.
 *
 * Bytes reach a sink either by copy (`take`) or because the transport read straight into the memory of `direct`'s
 * target. Both ways look the same to the sink: one `target()`, then one `filled()`.
 */
import type { Sink } from './transport.ts'

/** A pipe without a sink stops reading once it holds this much. */
export const KEPT_LIMIT: number = 64 * 1024

const NOTHING = new Uint8Array(0)

export class Intake {
  readonly #onDrained: () => void
  #sink: Sink | null = null
  #kept: Uint8Array[] = []
  #keptByteLength = 0
  #end: { error: Error | undefined } | null = null
  #hasToldEnd = false
  #isDropped = false

  /** @param onDrained - called when the kept bytes have gone to a sink: reading may go on */
  constructor(onDrained: () => void) {
    this.#onDrained = onDrained
  }

  /** The sink whose target the transport may fill directly; null while kept bytes must go first. */
  get directSink(): Sink | null {
    return this.#kept.length === 0 && !this.#isDropped ? this.#sink : null
  }

  get isFull(): boolean {
    return this.#keptByteLength >= KEPT_LIMIT
  }

  setSink(sink: Sink | null): void {
    this.#sink = sink
    // In a microtask, so that setSink never calls a sink itself.
    if (sink !== null) queueMicrotask(() => this.#drain())
  }

  /** Delivers by copy; the bytes may change after the call. */
  take(bytes: Uint8Array): void {
    if (this.#end !== null || this.#isDropped) return
    const rest = this.#kept.length > 0 ? bytes : this.#feed(bytes)
    if (rest.length === 0) return
    // Not slice(): a Buffer's is a view, and these bytes belong to others.
    this.#kept.push(new Uint8Array(rest))
    this.#keptByteLength += rest.length
  }

  /** The other end ended the pipe, or the pipe broke. Bytes kept until now are still delivered first. */
  finish(error?: Error): void {
    if (this.#end !== null) return
    this.#end = { error }
    this.#tellEnd()
  }

  /** This end destroyed the pipe: from now on no byte is delivered, kept or new; `finish` follows. */
  drop(): void {
    this.#isDropped = true
    this.#kept = []
    this.#keptByteLength = 0
  }

  /** Copies to the sink as much as it takes and returns the rest: the sink may detach itself at any call. */
  #feed(bytes: Uint8Array): Uint8Array {
    let offset = 0
    while (offset < bytes.length && this.#sink !== null && !this.#isDropped) {
      const sink = this.#sink
      const target = sink.target()
      const count = Math.min(target.length, bytes.length - offset)
      target.set(bytes.subarray(offset, offset + count))
      offset += count
      sink.onFilled(count)
    }
    return offset === bytes.length || this.#isDropped ? NOTHING : bytes.subarray(offset)
  }

  #drain(): void {
    const held = this.#kept.length
    while (this.#sink !== null) {
      const head = this.#kept[0]
      if (head === undefined) break
      const rest = this.#feed(head)
      if (this.#isDropped) break
      this.#keptByteLength -= head.length - rest.length
      if (rest.length === 0) this.#kept.shift()
      else this.#kept[0] = rest
    }
    if (held > 0 && this.#kept.length === 0 && !this.#isDropped) this.#onDrained()
    this.#tellEnd()
  }

  #tellEnd(): void {
    if (this.#end === null || this.#hasToldEnd || this.#kept.length > 0 || this.#sink === null) return
    this.#hasToldEnd = true
    this.#sink.onEnd(this.#end.error)
  }
}
