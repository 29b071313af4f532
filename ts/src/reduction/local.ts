/**
 * The local functions: gradients that lie in one process, such as those of accumulated micro-batches, combined without
 * a network. They run the same kernels in the same order as the collectives and give the same bits.
 */
import { isReady, loadBinding, readyBinding } from '#binding'
import type { Binding } from '../binding/binding.ts'
import { isDetached, lengthOf } from '../binding/typed-array.ts'
import { AdasumError, inspect, reading } from '../errors.ts'
import type { ReductionRecord } from '../gpu/gpu-binding.ts'
import { checkForGpu } from '../gpu/gpu-job.ts'
import { reduceSlice } from '../kernels/reduce.ts'
import { cooperative, run, runSync } from '../kernels/run.ts'
import type { Rule } from '../kernels/rule.ts'
import type { SegmentRows } from '../kernels/segment-rows.ts'
import { chunkElementCount, sliceOf } from '../kernels/slice.ts'
import { type ReportDetail, newReport, reportOfNothing, reportStatistics } from '../kernels/statistics.ts'
import type { ReduceWork } from '../kernels/work.ts'
import {
  bytesOf,
  checkArray,
  checkDisjoint,
  checkOptions,
  copyOptions,
  readNumbers,
  reducibleDtype,
  transferredAway,
} from '../tensor/check.ts'
import type { Dtype } from '../tensor/dtype.ts'
import { type Layout, layoutOfArray } from '../tensor/layout.ts'
import { Vector } from '../tensor/vector.ts'
import { checkWeight, countsIfEqual } from '../tensor/weights.ts'
import {
  type OnNonFinite,
  type OpName,
  type OptionNames,
  REDUCE_OPTIONS,
  type Operator,
  type ReduceOp,
  type ReduceOptions,
  type ReducibleArray,
  type Reduction,
} from '../types.ts'
import { MOST_INPUTS, checkLike, checkResult, listOf } from './local-arrays.ts'
import { type Operation, checkInputCount, checkOperation, plainOperation } from './operation.ts'
import { checkOnNonFinite, checkReport, checkWeightedOp } from './options.ts'
import { reportGpuSegments, reportSegments } from './report.ts'
import { scanNonFinite, scanNonFiniteSync } from './scan.ts'

/** Options of the local functions. */
export interface LocalOptions<A extends ReducibleArray = ReducibleArray> extends ReduceOptions<A> {
  /**
   * Where to compute: `gpu` takes the package adasum-gpu, or a browser's WebGPU, and brings the inputs to a device and
   * back, `auto` does so if it can, and warns once if it cannot. A GPU's results differ from the CPU's by the last
   * rounding at most. Default `cpu`.
   */
  backend?: Backend
  /**
   * How much each input counts with `average`, `adasum` (with kappa, too), `adascale` and `custom`: how many samples it
   * stands for, numbers from 0 to 2^53. An input of weight 0 takes no part. Default: each input counts once. On the CPU only.
   */
  weights?: ArrayLike<number>
}

/** Where local functions compute. */
export type Backend = 'cpu' | 'gpu' | 'auto'

const BACKENDS: readonly Backend[] = ['cpu', 'gpu', 'auto']

const LOCAL_OPTIONS: OptionNames<LocalOptions> = { ...REDUCE_OPTIONS, backend: true, weights: true }

/** Options with which half formats are stored as f32. */
export type WideningOptions = LocalOptions<Float32Array> & {
  /** Receives the result. */
  out: Float32Array
}

/**
 * Combines gradients by adaptive summation (arXiv 2006.02924): the sum where they are orthogonal, the mean where they
 * are parallel, segment by segment, by the count-weighted balanced tree over the order of `inputs`.
 *
 * @param inputs - arrays of one dtype and length, unchanged; Uint16Arrays hold f16 or bf16, as `dtype` says
 * @returns the result in `out`, or in a new array
 * @throws AdasumError ERR_ARGUMENT for arrays that differ, overlap `out` or are detached, segments that do not add up;
 *   ERR_NON_FINITE for NaN or infinity in an input, unless `onNonFinite` says otherwise
 */
export function adasum<A extends ReducibleArray>(inputs: readonly A[], options?: LocalOptions<A>): Promise<Reduction<A>>
export function adasum(inputs: readonly Uint16Array[], options: WideningOptions): Promise<Reduction<Float32Array>>
export function adasum(inputs: readonly ReducibleArray[], options: LocalOptions = {}): Promise<Reduction> {
  return reduceLocally('adasum', inputs, options)
}

/** Adds arrays element by element, in f64, rounding once. As `adasum` otherwise. */
export function sum<A extends ReducibleArray>(inputs: readonly A[], options?: LocalOptions<A>): Promise<Reduction<A>>
export function sum(inputs: readonly Uint16Array[], options: WideningOptions): Promise<Reduction<Float32Array>>
export function sum(inputs: readonly ReducibleArray[], options: LocalOptions = {}): Promise<Reduction> {
  return reduceLocally('sum', inputs, options)
}

/** Averages arrays element by element, in f64, rounding once. As `adasum` otherwise. */
export function average<A extends ReducibleArray>(
  inputs: readonly A[],
  options?: LocalOptions<A>,
): Promise<Reduction<A>>
export function average(inputs: readonly Uint16Array[], options: WideningOptions): Promise<Reduction<Float32Array>>
export function average(inputs: readonly ReducibleArray[], options: LocalOptions = {}): Promise<Reduction> {
  return reduceLocally('average', inputs, options)
}

/**
 * As `adasum`, without letting the event loop turn. In a browser only after one of the forms that return a promise has
 * resolved, since it loads the WebAssembly module: before that ERR_NOT_READY.
 */
export function adasumSync<A extends ReducibleArray>(inputs: readonly A[], options?: LocalOptions<A>): Reduction<A>
export function adasumSync(inputs: readonly Uint16Array[], options: WideningOptions): Reduction<Float32Array>
export function adasumSync(inputs: readonly ReducibleArray[], options: LocalOptions = {}): Reduction {
  return reduceLocallySync(plainOperation('adasum'), options, inputs)
}

/** As `sum`, without letting the event loop turn. */
export function sumSync<A extends ReducibleArray>(inputs: readonly A[], options?: LocalOptions<A>): Reduction<A>
export function sumSync(inputs: readonly Uint16Array[], options: WideningOptions): Reduction<Float32Array>
export function sumSync(inputs: readonly ReducibleArray[], options: LocalOptions = {}): Reduction {
  return reduceLocallySync(plainOperation('sum'), options, inputs)
}

/** As `average`, without letting the event loop turn. */
export function averageSync<A extends ReducibleArray>(inputs: readonly A[], options?: LocalOptions<A>): Reduction<A>
export function averageSync(inputs: readonly Uint16Array[], options: WideningOptions): Reduction<Float32Array>
export function averageSync(inputs: readonly ReducibleArray[], options: LocalOptions = {}): Reduction {
  return reduceLocallySync(plainOperation('average'), options, inputs)
}

/** Options of `reduce`: those of the other local functions, and the operator. */
export interface LocalReduceOptions<A extends ReducibleArray = ReducibleArray> extends LocalOptions<A> {
  /** The operator. */
  op: ReduceOp | Operator
}

/**
 * Combines arrays by any operator of the collectives but `min` and `max`, with the bits of an all-reduce of the same
 * inputs. As `adasum` otherwise.
 *
 * @throws AdasumError as `adasum`; also ERR_ARGUMENT for an operator's parameter out of its range
 */
export function reduce<A extends ReducibleArray>(
  inputs: readonly A[],
  options: LocalReduceOptions<A>,
): Promise<Reduction<A>>
export function reduce(
  inputs: readonly Uint16Array[],
  options: WideningOptions & Pick<LocalReduceOptions, 'op'>,
): Promise<Reduction<Float32Array>>
export async function reduce(inputs: readonly ReducibleArray[], options: LocalReduceOptions): Promise<Reduction> {
  const [operation, others] = takeOperation(options)
  return planReduction(operation, inputs, others)()
}

/** As `reduce`, without letting the event loop turn; see `adasumSync`. */
export function reduceSync<A extends ReducibleArray>(inputs: readonly A[], options: LocalReduceOptions<A>): Reduction<A>
export function reduceSync(
  inputs: readonly Uint16Array[],
  options: WideningOptions & Pick<LocalReduceOptions, 'op'>,
): Reduction<Float32Array>
export function reduceSync(inputs: readonly ReducibleArray[], options: LocalReduceOptions): Reduction {
  return reduceLocallySync(...takeOperation(options), inputs)
}

/** The operator among the options, and the other ones. */
function takeOperation(given: LocalReduceOptions): [Operation, LocalOptions] {
  const options = copyOptions(given, { op: true, ...LOCAL_OPTIONS })
  checkOptions(options, { op: true, ...LOCAL_OPTIONS })
  const { op, ...others } = options
  const operation = checkOperation(op)
  if (operation.rule) return [operation, others]
  throw new AdasumError(
    'ERR_ARGUMENT',
    `op is ${operation.name}, which has no local function. Use sum, average, adasum or an operator with parameters.`,
  )
}

interface LocalJob {
  readonly op: OpName
  readonly rule: Rule
  readonly inputs: readonly ReducibleArray[]
  readonly out: ReducibleArray
  readonly resultDtype: Dtype
  readonly layout: Layout
  readonly onNonFinite: OnNonFinite
  readonly weights: number[] | undefined
  readonly detail: ReportDetail
}

async function reduceLocally(
  op: ReduceOp,
  inputs: readonly ReducibleArray[],
  options: LocalOptions,
): Promise<Reduction> {
  return planReduction(plainOperation(op), inputs, options)()
}

/**
 * Checks the arguments of a reduction, and returns a function that runs it: a caller may have more to check in between.
 */
export function planReduction(
  operation: Operation,
  inputs: readonly ReducibleArray[],
  given: LocalOptions,
): () => Promise<Reduction> {
  const options = copyOptions(given, LOCAL_OPTIONS)
  const job = reading('the arguments', () => checkJob(operation, inputs, options))
  if (options.backend === 'gpu') checkForGpu(job)
  return async () => {
    try {
      return await perform(job, options.backend)
    } catch (error) {
      // If memory was transferred away, that is the error, whatever a kernel has made of it.
      checkAttached(job)
      throw error
    }
  }
}

async function perform(job: LocalJob, backend: Backend | undefined): Promise<Reduction> {
  if (backend !== undefined && backend !== 'cpu' && job.weights === undefined && job.detail !== 'gram') {
    // Most programs use no device; in a browser they would download its part for nothing.
    const { reduceOnGpu, reduceOnGpuIfPossible } = await import('../gpu/local-backend.ts')
    const record = await (backend === 'gpu' ? reduceOnGpu(job) : reduceOnGpuIfPossible(job))
    if (record) return finishOnGpu(job, record)
    checkAttached(job)
  }
  const check = (): void => checkAttached(job)
  const binding = isReady() ? loadBinding() : await readyBinding()
  check()
  const vectors = job.inputs.map((input) => Vector.of(bytesOf(input)))
  const nonFinite: number[] = []
  for (const index of scanned(job))
    if (await scanNonFinite(binding, job.layout, vectors[index]!, check)) nonFinite.push(index)
  const work = planWork(job, vectors, nonFinite)
  const statistics = work && (await run(reduceSlice(job.rule, work, binding), binding, cooperative(check)))
  return finish(job, binding, statistics, nonFinite)
}

function reduceLocallySync(operation: Operation, given: LocalOptions, inputs: readonly ReducibleArray[]): Reduction {
  const binding = loadBinding()
  const options = copyOptions(given, LOCAL_OPTIONS)
  const job = reading('the arguments', () => checkJob(operation, inputs, options))
  const form = operation.rule?.kind === 'fused' ? operation.name : 'reduce'
  if (options.backend === 'gpu')
    throw new AdasumError('ERR_UNSUPPORTED', `a GPU is waited for: ${form}Sync cannot. Use ${form}, or backend 'cpu'.`)
  const vectors = job.inputs.map((input) => Vector.of(bytesOf(input)))
  const isNonFinite = (index: number): boolean => scanNonFiniteSync(binding, job.layout, vectors[index]!)
  const nonFinite = scanned(job).filter(isNonFinite)
  const work = planWork(job, vectors, nonFinite)
  return finish(job, binding, work && runSync(reduceSlice(job.rule, work, binding), binding), nonFinite)
}

function checkJob(operation: Operation, inputs: readonly ReducibleArray[], options: LocalOptions): LocalJob {
  // A copy: the caller may empty the list while the call runs. Unlike forEach, its iterator does not pass holes over.
  const list = listOf(inputs)
  checkInputCount(operation, list.length, 'inputs')
  checkOptions(options, LOCAL_OPTIONS)
  if (options.backend !== undefined && !BACKENDS.includes(options.backend))
    throw new AdasumError(
      'ERR_UNSUPPORTED',
      `backend '${inspect(options.backend)}' is not available. Use '${BACKENDS.join("', '")}'.`,
    )
  const found = checkArray(list[0], 'inputs[0]')
  const dtype = reducibleDtype(found, options.dtype, 'inputs[0]')
  const elementCount = lengthOf(list[0]!)
  list.forEach((input, index) => checkLike(input, `inputs[${index}]`, found, elementCount))
  const layout = layoutOfArray(dtype, elementCount, options.segments)
  const { out, resultDtype } = checkResult(options.out, list[0]!, dtype)
  for (const [index, input] of list.entries())
    checkDisjoint([
      { array: input, what: `inputs[${index}]` },
      { array: out, what: 'out' },
    ])
  const onNonFinite = checkOnNonFinite(options.onNonFinite, operation.name)
  const detail = checkReport(options, operation.name)
  if (detail === 'gram' && options.backend === 'gpu')
    throw new AdasumError(
      'ERR_UNSUPPORTED',
      "a GPU's Gram matrices stay on it. Use backend 'cpu', or leave `gram` out.",
    )
  return {
    op: operation.name,
    rule: operation.rule!,
    weights: checkWeights(operation.name, options, list.length),
    inputs: list,
    out,
    resultDtype,
    layout,
    onNonFinite,
    detail,
  }
}

/** One weight an input; undefined if none are given. */
function checkWeights(op: OpName, { weights, backend }: LocalOptions, inputCount: number): number[] | undefined {
  if (weights === undefined) return undefined
  checkWeightedOp('weights', op)
  if (backend === 'gpu')
    throw new AdasumError('ERR_UNSUPPORTED', "a GPU knows no weights. Use backend 'cpu', or leave `weights` out.")
  const list = readNumbers(weights, MOST_INPUTS, '`weights`')
  if (list.length !== inputCount)
    throw new AdasumError(
      'ERR_ARGUMENT',
      `\`weights\` has ${list.length} numbers for ${inputCount} inputs. Give one number an input.`,
    )
  return list.map((weight, index) => checkWeight(weight, `weights[${index}]`))
}

function checkAttached({ inputs, out }: LocalJob): void {
  if ([...inputs, out].some(isDetached)) throw transferredAway()
}

/** ERR_NON_FINITE if the policy is to throw. */
function checkFinite({ op, inputs, onNonFinite }: LocalJob, nonFinite: readonly number[]): void {
  if (onNonFinite !== 'throw' || nonFinite.length === 0) return
  throw new AdasumError(
    'ERR_NON_FINITE',
    `${op}: ${nonFinite.length} of ${inputs.length} inputs are not finite (inputs[${nonFinite.join('], inputs[')}]). ` +
      "Leave them out, or pass onNonFinite: 'skip'.",
  )
}

/** The indices of the inputs that are looked at: those that are absent anyway are not. */
function scanned({ inputs, onNonFinite, weights }: LocalJob): number[] {
  return onNonFinite === 'propagate' ? [] : [...inputs.keys()].filter((index) => weights?.[index] !== 0)
}

/** The work of the inputs that take part, or undefined if none is left. */
function planWork(job: LocalJob, inputs: Vector[], nonFinite: readonly number[]): ReduceWork | undefined {
  const { layout, resultDtype } = job
  checkFinite(job, nonFinite)
  const given = inputs.map((_, index) => (nonFinite.includes(index) ? 0 : (job.weights?.[index] ?? 1)))
  const weights = countsIfEqual(Float64Array.from(given))
  if (weights.every((weight) => weight === 0)) return undefined
  const slice = sliceOf(layout, 0, layout.elementCount, chunkElementCount(layout.dtype.byteLength, inputs.length))
  const out = Vector.of(bytesOf(job.out))
  return { layout, resultDtype, slice, inputs, weights, out, withGram: job.detail === 'gram' }
}

function finish(
  job: LocalJob,
  binding: Binding,
  statistics: SegmentRows | undefined,
  nonFiniteRanks: number[],
): Reduction {
  const { layout, inputs, out, weights, detail } = job
  // The result of no vectors at all is zero.
  if (!statistics) bytesOf(out).fill(0)
  const newRows = statistics ? newReport : reportOfNothing
  const report = newRows(layout.segmentElementCounts.length, detail, inputs.length)
  if (statistics) reportStatistics(report, statistics)
  const segments = reportSegments(layout, report, inputs.length)
  return { result: out, segments, ...(weights && { weights }), nonFiniteRanks, bytesSent: 0 }
}

function finishOnGpu(job: LocalJob, record: ReductionRecord): Reduction {
  checkFinite(job, record.nonFinite)
  const segments = reportGpuSegments(job.layout, record, {
    op: job.op,
    inputCount: job.inputs.length,
    withCoefficients: job.detail === 'coefficients',
  })
  return { result: job.out, segments, nonFiniteRanks: record.nonFinite, bytesSent: 0 }
}
