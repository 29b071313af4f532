/** What the reduction of a slice is given, and the steps that its body consists of. */
import type { Binding } from '../binding/binding.ts'
import type { Dtype } from '../tensor/dtype.ts'
import type { Layout } from '../tensor/layout.ts'
import type { Vector } from '../tensor/vector.ts'
import type { SegmentRows } from './segment-rows.ts'
import type { Slice } from './slice.ts'

/** A reduction of a slice of several vectors. */
export interface ReduceWork {
  readonly layout: Layout
  /** The dtype of `out`: the layout's, or f32 where that is a half format. */
  readonly resultDtype: Dtype
  readonly slice: Slice
  /** The slice of each input, in rank order. */
  readonly inputs: readonly Vector[]
  /** How many ranks' vectors each input stands for; 0 leaves it out. */
  readonly weights: Float64Array
  /** Receives the slice of the result; may be one of the inputs. */
  readonly out: Vector
  /** Whether statistics have the Gram matrix of each segment, too. */
  readonly withGram?: boolean
}

/** A kernel call, which can be made on this thread or off it. */
export interface KernelTask {
  /**
   * How many elements of the inputs it needs, counted from the slice's start. Absent: no more than calls of earlier
   * steps need.
   */
  readonly needs?: number
  sync(binding: Binding): void
  async(binding: Binding): Promise<void>
}

/** The tree nodes of one segment that this rank has. */
export interface NodePart {
  readonly segment: number
  readonly productCount: number
  readonly runs: Float64Array
  readonly nodes: Float64Array
}

/** What kernels are run for, as an observer names it. */
export type KernelPhase = 'gram' | 'combine'

export type ReduceStep =
  | { readonly kind: 'kernels'; readonly phase: KernelPhase; readonly tasks: readonly KernelTask[] }
  /**
   * Asks for the parts of all ranks: for each part, the runs of all ranks in ascending order, with their nodes. `round`
   * counts from 0.
   */
  | { readonly kind: 'exchange'; readonly round: number; readonly parts: readonly NodePart[] }
  /** Asks that ranks which have the same segments compare their statistics. */
  | { readonly kind: 'compare'; readonly statistics: SegmentRows }

/** Yields steps, takes the answers to exchanges, and returns the statistics of the segments that the slice touches. */
export type ReduceBody = Generator<ReduceStep, SegmentRows, readonly NodePart[] | undefined>
