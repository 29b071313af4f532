import type { Arrival, Compare, Exchange } from '../kernels/run.ts'
import type { SegmentRows } from '../kernels/segment-rows.ts'
import type { ReduceWork } from '../kernels/work.ts'
import type { PhaseObserver } from '../observe/observer.ts'
import type { Layout } from '../tensor/layout.ts'
import type { Vector } from '../tensor/vector.ts'

/** What an all-reduce needs of an operator. Collectives move bytes; a reducer computes. */
export interface Reducer {
  /** Whether an input has NaN, infinity or a squared norm that overflows in it, and is to be refused or left out. */
  hasNonFinite(layout: Layout, data: Vector, check: () => void): Promise<boolean>
  /** Whether such an input makes the orthogonality of its segment NaN. */
  readonly seesNonFinite: boolean
  /**
   * Whether it reads its inputs once, so that nothing is gained by calls so short that the cache still has them
   * afterwards.
   */
  readonly isSinglePass: boolean
  /**
   * Reduces a slice of all inputs (rank order) into `out`. `memory` says who owns them: the caller's memory is touched
   * on this thread only, and `check` runs each time the event loop has turned; memory of the pool may be touched
   * off-thread.
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
  /** Exchanges the nodes of segments of which other ranks hold parts. */
  readonly exchange?: Exchange
  /** Compares the statistics of segments that other ranks reduce, too. */
  readonly compare?: Compare
  /** Present if the inputs may still be on their way. */
  readonly arrival?: Arrival | undefined
  /** Is told when kernels run. */
  readonly observer?: PhaseObserver
}
