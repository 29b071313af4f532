import type { Arrival, Exchange } from '../kernels/run.ts'
import type { SegmentRows } from '../kernels/segment-rows.ts'
import type { ReduceWork } from '../kernels/work.ts'
import type { PhaseObserver } from '../observe/observer.ts'
import type { Layout } from '../tensor/layout.ts'
import type { Vector } from '../tensor/vector.ts'

/** What an all-reduce needs of an operator: the collectives move bytes, a reducer computes. */
export interface Reducer {
  /** Whether a rank's input is to be left out or refused (NaN, infinity, a squared norm that overflows). */
  hasNonFinite(layout: Layout, data: Vector, check: () => void): Promise<boolean>
  /** Whether the orthogonality of a segment is NaN wherever an input has something of that in it. */
  readonly seesNonFinite: boolean
  /** Whether it goes over the inputs once: nothing is gained by short calls, after which the cache would still have them. */
  readonly isSinglePass: boolean
  /**
   * Reduces a slice of all inputs (rank order) into `out`. `memory` says whose it is: the caller's is touched on this
   * thread only, and `check` runs each time the event loop has turned; the pool's may be touched off-thread.
   */
  reduce(job: ReduceJob): Promise<SegmentRows>
  /** Number of products that `productCount` doubles a node make for these pieces (see binding). */
  nodeCount(pieces: Float64Array): number
  /** The root of a segment from the nodes of all runs (see binding, gramFinish). */
  addNodes(segmentElementCount: number, runs: Float64Array, nodes: Float64Array, productCount: number): Float64Array
}

/** A reduction of a slice, and how it is run. */
export interface ReduceJob extends ReduceWork {
  readonly memory: 'caller' | 'pool'
  readonly check: () => void
  /** For segments of which other ranks hold parts. */
  readonly exchange?: Exchange
  /** If the inputs are still on their way. */
  readonly arrival?: Arrival
  /** Told when kernels run. */
  readonly observer?: PhaseObserver
}
