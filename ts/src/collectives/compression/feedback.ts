/**
 * Error feedback within a call. The residuals that earlier calls left over are copied; kernels turn the copies into
 * what this call leaves over, and `commit` gives them to the compressor. A call that fails commits nothing, and the
 * compressor stays as it was.
 */
import type { Residuals } from '../../compressor.ts'
import { segmentAt } from '../../kernels/slice.ts'
import { type Layout, segmentName } from '../../tensor/layout.ts'
import type { ScratchPool } from '../../tensor/scratch.ts'

/** The residuals of elements `begin` to `end`, which this rank quantises at a stage of the schedule. */
interface Taken {
  readonly stage: number
  readonly begin: number
  readonly end: number
  readonly values: Float32Array
  /** The memory of `values`. */
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

  /** The residuals of some elements, in memory that is to receive those of this call. */
  take(stage: number, begin: number, end: number): Float32Array {
    // The memory is the pool's own and not the bucket's, which goes back before the call ends.
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

  /** Gives the residuals to the compressor. To be called once nothing can fail any more and no kernel runs. */
  commit(): void {
    for (const taken of this.#taken) {
      this.#eachSegment(taken, (part, segment, first) => {
        const name = this.#segments[segment]!
        let residual = this.#residuals.get(taken.stage, name)
        // The system zeroes it page by page, so where this rank quantises only a part of the segment the rest takes no
        // memory.
        if (!residual) residual = new Float32Array(this.#layout.segmentElementCounts[segment]!)
        residual.set(part, first)
        this.#residuals.set(taken.stage, name, residual)
      })
      this.#pool.release(taken.bytes)
    }
    this.#taken = []
  }

  /** Allows other calls to have the segments. */
  release(): void {
    this.#residuals.release(this.#segments)
  }

  /** Visits the part of each segment that is in `values`, with the number of its first element within the segment. */
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
