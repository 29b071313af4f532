/** From the arguments of a reduction, checked, to what is to be done: layouts, schedule, descriptor. */
import { sha256 } from '#platform'
import { type Bucket, planBuckets } from '../collectives/schedule/buckets.ts'
import { type Level, LevelPlanner } from '../collectives/schedule/level-plan.ts'
import { type MachinePlan, planMachines } from '../collectives/schedule/machines.ts'
import { allReduceSchedule } from '../collectives/schedule/schedule.ts'
import type { LevelKind } from '../collectives/schedule/tree.ts'
import type { Compressor } from '../compressor.ts'
import {
  type CollectiveName,
  NON_FINITE_CODES,
  SCHEDULES,
  WITH_COEFFICIENTS,
  compressionFlags,
  opCode,
} from '../group/descriptor.ts'
import { type ReportDetail, reportDetail } from '../kernels/statistics.ts'
import {
  checkAlgorithm,
  checkAllReduceOp,
  checkBucketBytes,
  checkCompressor,
  checkDtype,
  checkHierarchy,
  checkOnNonFinite,
} from '../reduction/options.ts'
import { bytesOf, checkArray, checkFlag, checkOptions } from '../tensor/check.ts'
import type { Dtype } from '../tensor/dtype.ts'
import { layoutHash } from '../tensor/layout-hash.ts'
import type { Layout } from '../tensor/layout.ts'
import type { Tuning } from '../tuning.ts'
import {
  ALL_REDUCE_OPTIONS,
  type AllReduceAlgorithm,
  type AllReduceOp,
  type AllReduceOptions,
  type NumericArray,
  type OnNonFinite,
  type ReduceOp,
} from '../types.ts'
import type { Descriptor } from '../wire/frame.ts'
import { type Data, checkOut, checkPart, layoutOf, partCounts } from './data.ts'
import { descriptorOf } from './descriptors.ts'
import { REDUCE_SCATTER_OPTIONS, type ReduceScatterOptions } from './options.ts'

interface ReducePlan {
  readonly op: AllReduceOp
  readonly onNonFinite: OnNonFinite
  readonly layout: Layout
  /** What every rank is to know of every segment. */
  readonly detail: ReportDetail
  readonly descriptor: Descriptor
}

export interface AllReducePlan extends ReducePlan {
  /** That of `out`, if it was given: as `layout`, but possibly f32 where that is a half format. */
  readonly outLayout: Layout | undefined
  /** This rank's part in the schedule; undefined for the direct one. */
  readonly buckets: readonly Bucket[] | undefined
  /** If machines reduce among themselves first: by what, and who is where. */
  readonly hierarchy: (MachinePlan & { readonly innerOp: ReduceOp }) | undefined
  readonly compressor: Compressor | undefined
}

export interface ReduceScatterPlan extends ReducePlan {
  readonly level: Level
  /** First elements of the ranks' parts, and the element count. */
  readonly wanted: Float64Array
  /** Of the part: the data's, or f32 where that is a half format. */
  readonly resultDtype: Dtype
}

const KEPT_PLANS = 8

/** How the world is cut into levels: by a schedule, or at its machines. */
type Cut = LevelKind | 'machines'

export class ReducePlanner {
  readonly #rank: number
  readonly #size: number
  readonly #tuning: Tuning
  readonly #machines: readonly number[]
  readonly #planners = new Map<Cut, LevelPlanner>()
  #machinePlan: MachinePlan | undefined
  /** A training loop has the same few layouts all the time. */
  readonly #kept = new Map<string, readonly Bucket[]>()

  /** @param machines - the number of each rank's machine */
  constructor({ rank, size, tuning }: { rank: number; size: number; tuning: Tuning }, machines: readonly number[]) {
    this.#rank = rank
    this.#size = size
    this.#tuning = tuning
    this.#machines = machines
  }

  /** @param localOp - by what the data was combined of micro-batches, if it was */
  allReduce(data: Data, options: AllReduceOptions<Data>, localOp?: ReduceOp): AllReducePlan {
    checkOptions(options, ALL_REDUCE_OPTIONS)
    const { op, onNonFinite, layout, detail } = planReduce(data, options)
    const outLayout = options.out === undefined ? undefined : checkOut(data, options.out, layout)
    const algorithm = checkAlgorithm(options.algorithm, this.#size)
    const innerOp = checkHierarchy(options.hierarchy, op, algorithm)
    const compressor = checkCompressor(options.compressor, op, layout.dtype)
    const bucketBytes = checkBucketBytes(options.bucketBytes)
    // A rank alone is its only machine, and sends nothing.
    const isAlone = this.#size === 1
    const hierarchy = innerOp === undefined || isAlone ? undefined : { ...this.#planOfMachines(), innerOp }
    const schedule = this.#scheduleOf(layout, hierarchy ? 'levels' : algorithm)
    const buckets =
      schedule === 'direct' ? undefined : this.#buckets(hierarchy ? 'machines' : schedule, layout, bucketBytes)
    const reducing = describeReduce('all-reduce', { op, onNonFinite, layout }, options)
    const descriptor = {
      ...reducing,
      op: opCode(op, { innerOp, localOp }),
      resultDtype: (outLayout ?? layout).dtype.code,
      schedule: SCHEDULES[schedule],
      flags: reducing.flags | compressionFlags(compressor),
      layoutHash: this.#hashOf(layout, buckets && bucketBytes, innerOp),
    }
    const how = { outLayout, buckets, hierarchy, compressor: isAlone ? undefined : compressor }
    return { op, onNonFinite, layout, detail, ...how, descriptor }
  }

  #scheduleOf(layout: Layout, algorithm: AllReduceAlgorithm): 'direct' | LevelKind {
    const byteLength = layout.elementCount * layout.dtype.byteLength
    return algorithm === 'auto' ? allReduceSchedule(this.#size, byteLength, this.#tuning) : algorithm
  }

  /** Ranks with other buckets or machines must notice it. */
  #hashOf(layout: Layout, bucketBytes: number | undefined, innerOp: ReduceOp | undefined): Uint8Array {
    const hash =
      bucketBytes === undefined ? layoutHash(layout) : hashOf(layoutHash(layout), Float64Array.of(bucketBytes))
    return innerOp === undefined ? hash : hashOf(hash, Float64Array.from(this.#machines))
  }

  #planOfMachines(): MachinePlan {
    return (this.#machinePlan ??= planMachines(this.#machines))
  }

  reduceScatter(data: NumericArray, options: ReduceScatterOptions<NumericArray>): ReduceScatterPlan {
    checkOptions(options, REDUCE_SCATTER_OPTIONS)
    checkArray(data, 'data')
    const { op, onNonFinite, layout, detail } = planReduce(data, options)
    const counts = partCounts(layout.elementCount, this.#size, options.counts)
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
      layoutHash: hashOf(layoutHash(layout), wanted),
    }
    return { op, onNonFinite, layout, detail, resultDtype, level: bucket!.levels[0]!, wanted, descriptor }
  }

  #buckets(kind: Cut, layout: Layout, bucketBytes = Infinity): readonly Bucket[] {
    const key = [kind, layout.elementCount, layout.dtype.name, ...layoutHash(layout), bucketBytes].join()
    let buckets = this.#kept.get(key)
    if (buckets) return buckets
    const planner = this.#plannerOf(kind)
    buckets = planBuckets(layout, bucketBytes, (part) => planner.plan(part))
    this.#kept.set(key, buckets)
    for (const oldest of this.#kept.keys()) if (this.#kept.size > KEPT_PLANS) this.#kept.delete(oldest)
    return buckets
  }

  #plannerOf(kind: Cut): LevelPlanner {
    let planner = this.#planners.get(kind)
    if (!planner) this.#planners.set(kind, (planner = this.#newPlanner(kind)))
    return planner
  }

  #newPlanner(kind: Cut): LevelPlanner {
    if (kind !== 'machines') return new LevelPlanner(kind, this.#size, this.#rank)
    const { order, tree } = this.#planOfMachines()
    return new LevelPlanner(tree, this.#size, order.indexOf(this.#rank))
  }
}

function hashOf(hashOfLayout: Uint8Array, numbers: Float64Array): Uint8Array {
  return sha256(hashOfLayout, bytesOf(numbers)).subarray(0, 8)
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
  const detail = reportDetail(op, checkFlag(options.coefficients, 'coefficients'))
  return { op, onNonFinite, layout, detail }
}

function describeReduce(
  collective: CollectiveName,
  { op, onNonFinite, layout }: Pick<ReducePlan, 'op' | 'onNonFinite' | 'layout'>,
  { coefficients }: Reducing,
): Descriptor {
  return {
    ...descriptorOf(collective, layout),
    op: opCode(op, {}),
    onNonFinite: NON_FINITE_CODES[onNonFinite],
    flags: coefficients === true ? WITH_COEFFICIENTS : 0,
  }
}
