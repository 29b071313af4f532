/** What an all-reduce is given, and what comes of it. */
import type { SegmentRows } from '../kernels/segment-rows.ts'
import type { ReportDetail } from '../kernels/statistics.ts'
import type { Dtype } from '../tensor/dtype.ts'
import type { Layout } from '../tensor/layout.ts'
import type { ScratchPool } from '../tensor/scratch.ts'
import type { Vector } from '../tensor/vector.ts'
import type { OnNonFinite } from '../types.ts'
import type { Compression } from './compression/quantizer.ts'
import type { Hierarchy } from './hierarchy.ts'
import type { Reducer } from './reducer.ts'
import type { Bucket } from './schedule/buckets.ts'

export interface AllReduceJob {
  readonly layout: Layout
  /** The dtype of the result: the layout's, or f32 in `out` where that is a half format. */
  readonly resultDtype: Dtype
  readonly reducer: Reducer
  /** If machines reduce among themselves first, and `reducer` is for what comes after. */
  readonly hierarchy?: Hierarchy | undefined
  /** If what is sent is quantised. */
  readonly compression?: Compression | undefined
  readonly onNonFinite: OnNonFinite
  /** This rank's part in the schedule, one bucket after the other; undefined for the direct one. */
  readonly buckets: readonly Bucket[] | undefined
  /** This rank's flags, if it has looked through its input already. */
  readonly ownFlags?: number
  /** This rank's vector; read until the result is committed, then overwritten unless there is an `out`. */
  readonly data: Vector
  /** Receives the result, and anything at all if the call fails. */
  readonly out: Vector | undefined
  /** What every rank is to know of every segment. */
  readonly detail: ReportDetail
  readonly scratch: ScratchPool
  /** Throws if the caller's memory has been transferred away. */
  readonly check: () => void
}

/** What a schedule has come to on this rank, when no connection uses the caller's memory any more. */
export interface Reduced {
  /** Where the result lies: in `out`, or in scratch memory. Undefined if inputs are refused, or all were left out: then it is zero. */
  readonly result: Vector | undefined
  /** What every rank knows of every segment. */
  readonly report: SegmentRows
  /** What every rank has said of its input. */
  readonly flags: Uint8Array
  /** Whether the Gram matrix of a segment was not finite, and nobody has said why. All ranks know this alike. */
  readonly isSuspect: boolean
}

export interface AllReduceOutcome {
  /** What every rank knows of every segment. */
  readonly report: SegmentRows
  readonly nonFiniteRanks: number[]
}

/** Memory for one call. */
export type Scratch = (byteLength: number) => Uint8Array
