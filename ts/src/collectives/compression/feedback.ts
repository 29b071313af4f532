/**
 * Error feedback within a call: working copies of what earlier calls have left over. Kernels turn them into what this call
 * leaves over, and `commit` makes them the compressor's. A call that fails commits nothing, and the compressor is as before.
 */
import type { Residuals } from '../../compressor.ts'
import { segmentAt } from '../../kernels/slice.ts'
import { type Layout, segmentName } from '../../tensor/layout.ts'
import type { ScratchPool } from '../../tensor/scratch.ts'

/** Elements `begin` to `end` of the vector, as they were quantised at a stage of the schedule. */
interface Taken {
  readonly stage: number
  readonly begin: number
  readonly end: number
  readonly values: Float32Array
  /** Its memory. */
  readonly bytes: Uint8Array
}

export class Feedback {
  readonly #residuals: Residuals
  readonly #layout: Layout
  readonly #pool: ScratchPool
  readonly #segments: readonly string[]
  #taken: Taken[] = []

  /** @throws AdasumError ERR_NOT_READY if another call has one of the segments */
  constructor(residuals: Residuals, layout: Layout, pool: ScratchPool) {
    this.#residuals = residuals
    this.#layout = layout
    this.#pool = pool
    this.#segments = Array.from(layout.segmentElementCounts, (count, s) => `${segmentName(layout, s)}[${count}]`)
    residuals.claim(this.#segments)
  }

  /** What is left over of some elements, in memory that is to receive what this call leaves over. */
  take(stage: number, begin: number, end: number): Float32Array {
    // Of the pool itself: what a bucket has of it goes back before the call ends.
    const bytes = this.#pool.acquire((end - begin) * Float32Array.BYTES_PER_ELEMENT)
    const values = new Float32Array(bytes.buffer, bytes.byteOffset, end - begin)
    const taken = { stage, begin, end, values, bytes }
    this.#taken.push(taken)
    this.#eachSegment(taken, (part, segment, first) => {
      const residual = this.#residuals.get(stage, this.#segments[segment]!)
      if (residual) part.set(residual.subarray(first, first + part.length))
      else part.fill(0)
    })
    return values
  }

  /** Once nothing can fail any more, and no kernel runs. */
  commit(): void {
    for (const taken of this.#taken) {
      this.#eachSegment(taken, (part, segment, first) => {
        const name = this.#segments[segment]!
        let residual = this.#residuals.get(taken.stage, name)
        // Zeroed by the system: of a segment of which this rank quantises a part, the rest takes no memory.
        if (!residual) residual = new Float32Array(this.#layout.segmentElementCounts[segment]!)
        residual.set(part, first)
        this.#residuals.set(taken.stage, name, residual)
      })
      this.#pool.release(taken.bytes)
    }
    this.#taken = []
  }

  /** Lets other calls have the segments. */
  release(): void {
    this.#residuals.release(this.#segments)
  }

  /** The part of each segment, and its first element there. */
  #eachSegment(
    { begin, end, values }: Taken,
    visit: (part: Float32Array, segment: number, first: number) => void,
  ): void {
    const { segmentBegins, segmentElementCounts } = this.#layout
    for (let s = segmentAt(this.#layout, begin); s < segmentElementCounts.length && segmentBegins[s]! < end; s++) {
      const [from, to] = [Math.max(begin, segmentBegins[s]!), Math.min(end, segmentBegins[s + 1]!)]
      if (from < to) visit(values.subarray(from - begin, to - begin), s, from - segmentBegins[s]!)
    }
  }
}
