/** From the arguments of a reduction, checked, to what is to be done: layouts, schedule, descriptor. */
import { createHash } from 'node:crypto'
import { planBuckets } from '../collectives/buckets.ts'
import { type Level, LevelPlanner } from '../collectives/level-plan.ts'
import type { LevelKind } from '../collectives/levels.ts'
import type { Bucket, Statistics } from '../collectives/job.ts'
import { allReduceSchedule } from '../collectives/schedule.ts'
import {
  ALL_REDUCE_OP_CODES,
  type CollectiveName,
  NON_FINITE_CODES,
  SCHEDULES,
  WITH_COEFFICIENTS,
} from '../group/descriptor.ts'
import {
  checkAlgorithm,
  checkAllReduceOp,
  checkBucketBytes,
  checkDtype,
  checkOnNonFinite,
} from '../reduction/options.ts'
import { bytesOf, checkArray, checkOptions } from '../tensor/check.ts'
import type { Dtype } from '../tensor/dtype.ts'
import type { Layout } from '../tensor/layout.ts'
import type { Tuning } from '../tuning.ts'
import {
  ALL_REDUCE_OPTIONS,
  type AllReduceOp,
  type AllReduceOptions,
  type NumericArray,
  type OnNonFinite,
} from '../types.ts'
import type { Descriptor } from '../wire/frame.ts'
import { type Data, checkOut, checkPart, layoutOf, partCounts } from './data.ts'
import { describe } from './descriptors.ts'
import { REDUCE_SCATTER_OPTIONS, type ReduceScatterOptions } from './options.ts'

interface ReducePlan {
  readonly op: AllReduceOp
  readonly onNonFinite: OnNonFinite
  readonly layout: Layout
  /** What every rank is to know of every segment. */
  readonly statistics: Statistics
  readonly descriptor: Descriptor
}

export interface AllReducePlan extends ReducePlan {
  /** That of `out`, if it was given: as `layout`, but possibly f32 where that is a half format. */
  readonly outLayout: Layout | undefined
  /** This rank's part in the schedule; undefined for the direct one. */
  readonly buckets: readonly Bucket[] | undefined
}

export interface ReduceScatterPlan extends ReducePlan {
  readonly level: Level
  /** First elements of the ranks' parts, and the element count. */
  readonly wanted: Float64Array
  /** Of the part: the data's, or f32 where that is a half format. */
  readonly resultDtype: Dtype
}

const KEPT_PLANS = 8

export class ReducePlanner {
  readonly #rank: number
  readonly #size: number
  readonly #tuning: Tuning
  readonly #planners = new Map<LevelKind, LevelPlanner>()
  /** A training loop has the same few layouts all the time. */
  readonly #kept = new Map<string, readonly Bucket[]>()

  constructor({ rank, size, tuning }: { rank: number; size: number; tuning: Tuning }) {
    this.#rank = rank
    this.#size = size
    this.#tuning = tuning
  }

  allReduce(data: Data, options: AllReduceOptions<Data>): AllReducePlan {
    checkOptions(options, ALL_REDUCE_OPTIONS)
    const { op, onNonFinite, layout, statistics } = planReduce(data, options)
    const outLayout = options.out === undefined ? undefined : checkOut(data, options.out, layout)
    const algorithm = checkAlgorithm(options.algorithm, this.#size)
    const byteLength = layout.elementCount * layout.dtype.byteLength
    const schedule = algorithm === 'auto' ? allReduceSchedule(this.#size, byteLength, this.#tuning) : algorithm
    const bucketBytes = checkBucketBytes(options.bucketBytes)
    const buckets = schedule === 'direct' ? undefined : this.#buckets(schedule, layout, bucketBytes)
    const descriptor = {
      ...describeReduce('all-reduce', { op, onNonFinite, layout }, options),
      resultDtype: (outLayout ?? layout).dtype.code,
      schedule: SCHEDULES[schedule],
      // Ranks with other buckets must notice it.
      layoutHash:
        !buckets || bucketBytes === undefined ? layout.hash : hashOf(layout.hash, Float64Array.of(bucketBytes)),
    }
    return { op, onNonFinite, layout, statistics, outLayout, buckets, descriptor }
  }

  reduceScatter(data: NumericArray, options: ReduceScatterOptions<NumericArray>): ReduceScatterPlan {
    checkOptions(options, REDUCE_SCATTER_OPTIONS)
    checkArray(data, 'data')
    const { op, onNonFinite, layout, statistics } = planReduce(data, options)
    const counts = partCounts(data.length, this.#size, options.counts)
    const wanted = new Float64Array(this.#size + 1)
    counts.forEach((count, rank) => (wanted[rank + 1] = wanted[rank]! + count))
    const resultDtype =
      options.out === undefined ? layout.dtype : checkPart(options.out, layout.dtype, data, counts[this.#rank]!)
    const [bucket] = this.#buckets('single-shot', layout)
    const descriptor = {
      ...describeReduce('reduce-scatter', { op, onNonFinite, layout }, options),
      resultDtype: resultDtype.code,
      schedule: SCHEDULES['single-shot'],
      // Ranks that want other parts must notice it.
      layoutHash: hashOf(layout.hash, wanted),
    }
    return { op, onNonFinite, layout, statistics, resultDtype, level: bucket!.levels[0]!, wanted, descriptor }
  }

  #buckets(kind: LevelKind, layout: Layout, bucketBytes = Infinity): readonly Bucket[] {
    const key = [kind, layout.elementCount, layout.dtype.name, ...layout.hash, bucketBytes].join()
    let buckets = this.#kept.get(key)
    if (buckets) return buckets
    const planner = this.#plannerOf(kind)
    buckets = planBuckets(layout, bucketBytes, (part) => planner.plan(part))
    this.#kept.set(key, buckets)
    for (const oldest of this.#kept.keys()) if (this.#kept.size > KEPT_PLANS) this.#kept.delete(oldest)
    return buckets
  }

  #plannerOf(kind: LevelKind): LevelPlanner {
    let planner = this.#planners.get(kind)
    if (!planner) this.#planners.set(kind, (planner = new LevelPlanner(kind, this.#size, this.#rank)))
    return planner
  }
}

function hashOf(layoutHash: Uint8Array, numbers: Float64Array): Uint8Array {
  return createHash('sha256').update(layoutHash).update(bytesOf(numbers)).digest().subarray(0, 8)
}

type Reducing = Pick<AllReduceOptions<unknown>, 'op' | 'dtype' | 'segments' | 'onNonFinite' | 'coefficients'>

/** What all reductions have in common. */
function planReduce(data: Data, options: Reducing): Omit<ReducePlan, 'descriptor'> {
  const op = checkAllReduceOp(options.op)
  const found = layoutOf(data, 'data', options.segments)
  const layout = { ...found, dtype: checkDtype(found.dtype, options.dtype, op) }
  const policy = checkOnNonFinite(options.onNonFinite, op)
  // Integers are always finite: whatever the policy is, there is nothing to look for.
  const onNonFinite = layout.dtype.isFloat ? policy : 'propagate'
  const ofAdasum = options.coefficients === true ? 'coefficients' : 'orthogonality'
  return { op, onNonFinite, layout, statistics: op === 'adasum' ? ofAdasum : 'none' }
}

function describeReduce(
  collective: CollectiveName,
  { op, onNonFinite, layout }: Pick<ReducePlan, 'op' | 'onNonFinite' | 'layout'>,
  { coefficients }: Reducing,
): Descriptor {
  return {
    ...describe(collective, layout),
    op: ALL_REDUCE_OP_CODES[op],
    onNonFinite: NON_FINITE_CODES[onNonFinite],
    flags: coefficients === true ? WITH_COEFFICIENTS : 0,
  }
}
