/** Checks the arguments of a reduction, and plans what is to be done: layouts, schedule, descriptor. */
import { sha256 } from '#platform'
import { type Bucket, planBuckets } from '../collectives/schedule/buckets.ts'
import { type Level, LevelPlanner } from '../collectives/schedule/level-plan.ts'
import { type MachinePlan, planMachines } from '../collectives/schedule/machines.ts'
import { allReduceSchedule } from '../collectives/schedule/schedule.ts'
import type { LevelKind } from '../collectives/schedule/tree.ts'
import type { Compressor } from '../compressor.ts'
import { AdasumError } from '../errors.ts'
import {
  type CollectiveName,
  NON_FINITE_CODES,
  SCHEDULES,
  WEIGHTED,
  WITH_COEFFICIENTS,
  WITH_GRAM,
  compressionFlags,
  opCode,
  parameterCode,
} from '../group/descriptor.ts'
import type { ReportDetail } from '../kernels/statistics.ts'
import { MOST_INPUTS, type Operation, checkInputCount, checkOperation } from '../reduction/operation.ts'
import {
  checkAlgorithm,
  checkBucketBytes,
  checkCompressor,
  checkDtype,
  checkHierarchy,
  checkOnNonFinite,
  checkRankWeight,
  checkReport,
} from '../reduction/options.ts'
import { bytesOf, checkArray, checkOptions } from '../tensor/check.ts'
import type { Dtype } from '../tensor/dtype.ts'
import { layoutHash } from '../tensor/layout-hash.ts'
import type { Layout } from '../tensor/layout.ts'
import type { Tuning } from '../tuning.ts'
import {
  ALL_REDUCE_OPTIONS,
  type AllReduceAlgorithm,
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
  readonly operation: Operation
  readonly onNonFinite: OnNonFinite
  /** How much this rank's data counts; undefined in a call without weights. */
  readonly weight: number | undefined
  readonly layout: Layout
  /** What every rank learns of every segment. */
  readonly detail: ReportDetail
  readonly descriptor: Descriptor
}

export interface AllReducePlan extends ReducePlan {
  /** The layout of `out`, if it was given: as `layout`, but possibly f32 where that is a half format. */
  readonly outLayout: Layout | undefined
  /** This rank's part in the schedule; undefined for the direct one. */
  readonly buckets: readonly Bucket[] | undefined
  /** If the ranks of each machine are combined first: by which operator, and which ranks they are. */
  readonly hierarchy: (MachinePlan & { readonly innerOp: ReduceOp }) | undefined
  readonly compressor: Compressor | undefined
}

export interface ReduceScatterPlan extends ReducePlan {
  readonly level: Level
  /** The first element of each rank's part, and the element count: n + 1 numbers. */
  readonly partBegins: Float64Array
  /** The dtype of the part: the data's, or f32 where that is a half format. */
  readonly resultDtype: Dtype
}

const CACHED_PLANS = 8

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
  readonly #cache = new Map<string, readonly Bucket[]>()

  /** @param machines - the number of each rank's machine */
  constructor({ rank, size, tuning }: { rank: number; size: number; tuning: Tuning }, machines: readonly number[]) {
    this.#rank = rank
    this.#size = size
    this.#tuning = tuning
    this.#machines = machines
  }

  /** @param localOp - the operator that has combined micro-batches into the data, if any has */
  allReduce(data: Data, options: AllReduceOptions<Data>, localOp?: ReduceOp): AllReducePlan {
    checkOptions(options, ALL_REDUCE_OPTIONS)
    const { operation, onNonFinite, layout, detail } = planReduce(data, options)
    const op = operation.name
    checkInputCount(operation, this.#size, 'ranks')
    const outLayout = options.out === undefined ? undefined : checkOut(data, options.out, layout)
    const algorithm = checkAlgorithm(options.algorithm, this.#size)
    checkStages(operation, algorithm)
    const innerOp = checkHierarchy(options.hierarchy, op, algorithm)
    const weight = checkRankWeight(options.weight, op, innerOp)
    const compressor = checkCompressor(options.compressor, op, layout.dtype)
    const bucketBytes = checkBucketBytes(options.bucketBytes)
    // A rank alone is its only machine, and sends nothing.
    const isAlone = this.#size === 1
    const hierarchy = innerOp === undefined || isAlone ? undefined : { ...this.#planOfMachines(), innerOp }
    const schedule = this.#scheduleOf(layout, hierarchy ? 'levels' : algorithm)
    const buckets =
      schedule === 'direct' ? undefined : this.#buckets(hierarchy ? 'machines' : schedule, layout, bucketBytes)
    const common = reduceDescriptorOf('all-reduce', { operation, onNonFinite, layout }, options)
    const descriptor = {
      ...common,
      op: opCode(op, { innerOp, localOp }),
      resultDtype: (outLayout ?? layout).dtype.code,
      schedule: SCHEDULES[schedule],
      flags: common.flags | compressionFlags(compressor),
      layoutHash: withParameter(this.#hashOf(layout, buckets && bucketBytes, innerOp), operation),
    }
    const how = { outLayout, buckets, hierarchy, compressor: isAlone ? undefined : compressor }
    const hasWholeGram = this.#isAtOnce() && algorithm !== 'rvh' && innerOp === undefined
    return { operation, onNonFinite, weight, layout, detail: detailIn(detail, hasWholeGram), ...how, descriptor }
  }

  /**
   * Whether all ranks are combined at once, unless options say otherwise. A direct schedule does so with more of them, but
   * whether that is chosen depends on the length of the data.
   */
  #isAtOnce(): boolean {
    return this.#size <= MOST_INPUTS
  }

  #scheduleOf(layout: Layout, algorithm: AllReduceAlgorithm): 'direct' | LevelKind {
    const byteLength = layout.elementCount * layout.dtype.byteLength
    return algorithm === 'auto' ? allReduceSchedule(this.#size, byteLength, this.#tuning) : algorithm
  }

  /** The hash that ranks compare: it differs where their buckets or machines do, too. */
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
    const { operation, onNonFinite, layout, detail } = planReduce(data, options)
    checkInputCount(operation, this.#size, 'ranks')
    const weight = checkRankWeight(options.weight, operation.name)
    const counts = partCounts(layout.elementCount, this.#size, options.counts)
    const partBegins = new Float64Array(this.#size + 1)
    counts.forEach((count, rank) => (partBegins[rank + 1] = partBegins[rank]! + count))
    const resultDtype =
      options.out === undefined ? layout.dtype : checkPart(options.out, layout.dtype, data, counts[this.#rank]!)
    const [bucket] = this.#buckets('single-shot', layout)
    const descriptor = {
      ...reduceDescriptorOf('reduce-scatter', { operation, onNonFinite, layout }, options),
      resultDtype: resultDtype.code,
      schedule: SCHEDULES['single-shot'],
      // It differs where the parts do, too.
      layoutHash: withParameter(hashOf(layoutHash(layout), partBegins), operation),
    }
    const level = bucket!.levels[0]!
    const report = detailIn(detail, this.#isAtOnce())
    return { operation, onNonFinite, weight, layout, detail: report, resultDtype, level, partBegins, descriptor }
  }

  #buckets(kind: Cut, layout: Layout, bucketBytes = Infinity): readonly Bucket[] {
    const key = [kind, layout.elementCount, layout.dtype.name, ...layoutHash(layout), bucketBytes].join()
    let buckets = this.#cache.get(key)
    if (buckets) return buckets
    const planner = this.#plannerOf(kind)
    buckets = planBuckets(layout, bucketBytes, (part) => planner.plan(part))
    this.#cache.set(key, buckets)
    for (const oldest of this.#cache.keys()) if (this.#cache.size > CACHED_PLANS) this.#cache.delete(oldest)
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

/** ERR_UNSUPPORTED for an operator that needs all inputs at once, in a schedule that stores results in between. */
function checkStages({ name, rule }: Operation, algorithm: AllReduceAlgorithm): void {
  if (rule?.kind !== 'matrix' || algorithm !== 'rvh') return
  throw new AdasumError(
    'ERR_UNSUPPORTED',
    `op is ${name}, which takes all ranks at once, and algorithm 'rvh' takes two at a time. Leave algorithm out.`,
  )
}

/** The hash differs where the parameters of operators do, which the descriptor shows rounded. */
function withParameter(hash: Uint8Array, { parameter }: Operation): Uint8Array {
  return parameter === undefined ? hash : hashOf(hash, Float64Array.of(parameter))
}

/** What is reported where it may be that no rank has the whole Gram matrix. */
function detailIn(detail: ReportDetail, hasWholeGram: boolean): ReportDetail {
  return detail === 'gram' && !hasWholeGram ? 'coefficients' : detail
}

/** The options that all reductions have in common. */
type CommonOptions = Pick<
  AllReduceOptions<unknown>,
  'op' | 'dtype' | 'segments' | 'onNonFinite' | 'coefficients' | 'gram' | 'weight'
>

/** The part of a plan that all reductions have in common. */
function planReduce(data: Data, options: CommonOptions): Omit<ReducePlan, 'descriptor' | 'weight'> {
  const operation = checkOperation(options.op)
  const op = operation.name
  const found = layoutOf(data, 'data', options.segments)
  const layout = { ...found, dtype: checkDtype(found.dtype, options.dtype, op) }
  const policy = checkOnNonFinite(options.onNonFinite, op)
  // Integers are always finite: whatever the policy is, there is nothing to look for.
  const onNonFinite = layout.dtype.isFloat ? policy : 'propagate'
  const detail = checkReport(options, op)
  return { operation, onNonFinite, layout, detail }
}

function reduceDescriptorOf(
  collective: CollectiveName,
  { operation: { name, parameter }, onNonFinite, layout }: Pick<ReducePlan, 'operation' | 'onNonFinite' | 'layout'>,
  { coefficients, gram, weight }: CommonOptions,
): Descriptor {
  return {
    ...descriptorOf(collective, layout),
    op: opCode(name, {}),
    root: parameterCode(parameter),
    onNonFinite: NON_FINITE_CODES[onNonFinite],
    flags:
      (coefficients === true ? WITH_COEFFICIENTS : 0) |
      (gram === true ? WITH_GRAM : 0) |
      (weight === undefined ? 0 : WEIGHTED),
  }
}
