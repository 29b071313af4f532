/** What an all-reduce is given, and what it returns. */
import type { SegmentRows } from '../kernels/segment-rows.ts'
import type { ReportDetail } from '../kernels/statistics.ts'
import type { Dtype } from '../tensor/dtype.ts'
import type { Layout } from '../tensor/layout.ts'
import type { ScratchPool } from '../tensor/scratch.ts'
import type { Vector } from '../tensor/vector.ts'
import type { OnNonFinite } from '../types.ts'
import type { Compression } from './compression/quantizer.ts'
import type { Hierarchy } from './hierarchy.ts'
import type { Presence } from './presence.ts'
import type { Reducer } from './reducer.ts'
import type { Bucket } from './schedule/buckets.ts'

export interface AllReduceJob {
  readonly layout: Layout
  /** The dtype of the result: the layout's, or f32 in `out` where that is a half format. */
  readonly resultDtype: Dtype
  readonly reducer: Reducer
  /** Present if the ranks of each machine are combined first; `reducer` then combines the machines. */
  readonly hierarchy?: Hierarchy | undefined
  /** Present if what is sent is quantised. */
  readonly compression?: Compression | undefined
  readonly onNonFinite: OnNonFinite
  /** This rank's part in the schedule, bucket by bucket. Undefined for the direct schedule. */
  readonly buckets: readonly Bucket[] | undefined
  /** How much this rank's input counts; undefined in a call without weights, where each rank counts once. */
  readonly weight: number | undefined
  /** This rank's flags, if its input has been scanned already. */
  readonly ownFlags?: number
  /**
   * This rank's vector. It is only read until nothing can fail any more, and then overwritten unless there is an `out`.
   */
  readonly data: Vector
  /** Receives the result. If the call fails, its contents are undefined. */
  readonly out: Vector | undefined
  /** What every rank learns of each segment. */
  readonly detail: ReportDetail
  readonly scratch: ScratchPool
  /** Throws if the caller's memory has been transferred away. */
  readonly check: () => void
}

/** What a schedule returns on this rank, once no connection uses the caller's memory any more. */
export interface Reduced {
  /**
   * The result, in `out` or in scratch memory. Undefined if inputs are refused, or if all were left out: then the
   * result is zero.
   */
  readonly result: Vector | undefined
  /** What every rank learns of each segment. */
  readonly report: SegmentRows
  readonly presence: Presence
  /** Whether the Gram matrix of a segment was not finite and no rank has scanned its input. All ranks agree on this. */
  readonly isSuspect: boolean
}

export interface AllReduceOutcome {
  /** What every rank learns of each segment. */
  readonly report: SegmentRows
  readonly nonFiniteRanks: number[]
  /** Each rank's weight; undefined in a call without weights. */
  readonly weights: number[] | undefined
}

/** Allocates memory that lasts until the end of the call. */
export type Scratch = (byteLength: number) => Uint8Array
