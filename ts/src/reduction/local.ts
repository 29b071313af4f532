/**
 * The local functions: gradients that lie in one process, such as those of accumulated micro-batches, combined without a
 * network. They run the same kernels in the same order as the collectives and give the same bits.
 */
import { loadBinding } from '../binding/native.ts'
import { AdasumError, inspect } from '../errors.ts'
import { type ReduceWork, emptySegmentRows, reduceSlice } from '../kernels/reduce.ts'
import { cooperative, run, runSync } from '../kernels/run.ts'
import type { SliceStatistics } from '../kernels/reduce.ts'
import { chunkElementCount, sliceOf } from '../kernels/slice.ts'
import { bytesOf, checkDisjoint, checkFloatArray, checkOptions, isDetached, transferredAway } from '../tensor/check.ts'
import { newArrayLike } from '../tensor/dtype.ts'
import { type Layout, layoutOfArray } from '../tensor/layout.ts'
import type { FloatArray, OnNonFinite, ReduceOp, ReduceOptions, Reduction } from '../types.ts'
import { checkOnNonFinite } from './options.ts'
import { reportSegments } from './report.ts'
import { scanNonFinite } from './scan.ts'

export interface LocalOptions<A extends FloatArray = FloatArray> extends ReduceOptions<A> {
  /** Where to compute; `cpu` is what there is. */
  backend?: 'cpu'
}

/**
 * Combines gradients by adaptive summation (arXiv 2006.02924): the sum where they are orthogonal, the mean where they are
 * parallel, segment by segment, by the count-weighted balanced tree over the order of `inputs`.
 *
 * @param inputs - arrays of one dtype and length; unchanged
 * @returns the result in `out`, or in a new array
 * @throws AdasumError ERR_ARGUMENT for arrays that differ, overlap `out` or are detached, segments that do not add up;
 *   ERR_NON_FINITE for NaN or infinity in an input, unless `onNonFinite` says otherwise
 */
export function adasum<A extends FloatArray>(
  inputs: readonly A[],
  options: LocalOptions<A> = {},
): Promise<Reduction<A>> {
  return reduceLocally('adasum', inputs, options)
}

/** Adds arrays element by element, in f64, rounding once. As `adasum` otherwise. */
export function sum<A extends FloatArray>(inputs: readonly A[], options: LocalOptions<A> = {}): Promise<Reduction<A>> {
  return reduceLocally('sum', inputs, options)
}

/** Averages arrays element by element, in f64, rounding once. As `adasum` otherwise. */
export function average<A extends FloatArray>(
  inputs: readonly A[],
  options: LocalOptions<A> = {},
): Promise<Reduction<A>> {
  return reduceLocally('average', inputs, options)
}

/** As `adasum`, without letting the event loop turn. */
export function adasumSync<A extends FloatArray>(inputs: readonly A[], options: LocalOptions<A> = {}): Reduction<A> {
  return reduceLocallySync('adasum', inputs, options)
}

/** As `sum`, without letting the event loop turn. */
export function sumSync<A extends FloatArray>(inputs: readonly A[], options: LocalOptions<A> = {}): Reduction<A> {
  return reduceLocallySync('sum', inputs, options)
}

/** As `average`, without letting the event loop turn. */
export function averageSync<A extends FloatArray>(inputs: readonly A[], options: LocalOptions<A> = {}): Reduction<A> {
  return reduceLocallySync('average', inputs, options)
}

interface LocalJob<A extends FloatArray> {
  readonly op: ReduceOp
  readonly inputs: readonly A[]
  readonly out: A
  readonly layout: Layout
  readonly onNonFinite: OnNonFinite
  readonly withCoefficients: boolean
}

async function reduceLocally<A extends FloatArray>(
  op: ReduceOp,
  inputs: readonly A[],
  options: LocalOptions<A>,
): Promise<Reduction<A>> {
  const binding = loadBinding()
  const job = checkJob(op, inputs, options)
  const bytes = job.inputs.map(bytesOf)
  const check = (): void => checkAttached(job)
  const nonFinite: number[] = []
  if (job.onNonFinite !== 'propagate')
    for (const [index, input] of bytes.entries())
      if (await scanNonFinite(binding, job.layout, input, check)) nonFinite.push(index)
  const work = planWork(job, bytes, nonFinite)
  return finish(job, work && (await run(reduceSlice(work, binding), binding, cooperative(check))), nonFinite)
}

function reduceLocallySync<A extends FloatArray>(
  op: ReduceOp,
  inputs: readonly A[],
  options: LocalOptions<A>,
): Reduction<A> {
  const binding = loadBinding()
  const job = checkJob(op, inputs, options)
  const bytes = job.inputs.map(bytesOf)
  const { dtype, segmentElementCounts } = job.layout
  const isNonFinite = (index: number): boolean => binding.hasNonFinite(dtype.code, bytes[index]!, segmentElementCounts)
  const nonFinite = job.onNonFinite === 'propagate' ? [] : [...bytes.keys()].filter(isNonFinite)
  const work = planWork(job, bytes, nonFinite)
  return finish(job, work && runSync(reduceSlice(work, binding), binding), nonFinite)
}

function checkJob<A extends FloatArray>(op: ReduceOp, inputs: readonly A[], options: LocalOptions<A>): LocalJob<A> {
  if (!Array.isArray(inputs) || inputs.length === 0)
    throw new AdasumError('ERR_ARGUMENT', 'inputs must be a list of at least one typed array.')
  checkOptions(options)
  if (options.backend !== undefined && options.backend !== 'cpu')
    throw new AdasumError('ERR_UNSUPPORTED', `backend '${inspect(options.backend)}' is not available. Use 'cpu'.`)
  // A copy: the caller may empty the list while the call runs. Unlike forEach, its iterator does not pass holes over.
  const list: readonly A[] = [...(inputs as readonly A[])]
  const dtype = checkFloatArray(list[0], 'inputs[0]')
  const elementCount = list[0]!.length
  const checkLike = (array: unknown, what: string): void => {
    const other = checkFloatArray(array, what)
    if (other !== dtype)
      throw new AdasumError('ERR_ARGUMENT', `${what} is ${other.name}, inputs[0] is ${dtype.name}. Use one dtype.`)
    const { length } = array as A
    if (length !== elementCount)
      throw new AdasumError(
        'ERR_ARGUMENT',
        `${what} has ${length} elements, inputs[0] has ${elementCount}. Use equal lengths.`,
      )
  }
  list.forEach((input, index) => checkLike(input, `inputs[${index}]`))
  const layout = layoutOfArray(dtype, elementCount, options.segments)
  if (options.out !== undefined) checkLike(options.out, 'out')
  const out = options.out ?? newArrayLike(list[0]!, elementCount)
  list.forEach((input, index) =>
    checkDisjoint([
      { array: input, what: `inputs[${index}]` },
      { array: out, what: 'out' },
    ]),
  )
  return {
    op,
    inputs: list,
    out,
    layout,
    onNonFinite: checkOnNonFinite(options.onNonFinite, op),
    withCoefficients: options.coefficients === true,
  }
}

function checkAttached<A extends FloatArray>({ inputs, out }: LocalJob<A>): void {
  if ([...inputs, out].some(isDetached)) throw transferredAway()
}

/** The work of the inputs that take part, or undefined if none is left. */
function planWork<A extends FloatArray>(
  job: LocalJob<A>,
  inputs: Uint8Array[],
  nonFinite: readonly number[],
): ReduceWork | undefined {
  const { op, layout } = job
  if (job.onNonFinite === 'throw' && nonFinite.length > 0)
    throw new AdasumError(
      'ERR_NON_FINITE',
      `${op}: ${nonFinite.length} of ${inputs.length} inputs are not finite (inputs[${nonFinite.join('], inputs[')}]). ` +
        "Leave them out, or pass onNonFinite: 'skip'.",
    )
  if (nonFinite.length === inputs.length) return undefined
  const present = Uint8Array.from(inputs, (_, index) => (nonFinite.includes(index) ? 0 : 1))
  const slice = sliceOf(layout, 0, layout.elementCount, chunkElementCount(layout.dtype.byteLength, inputs.length))
  return { op, layout, slice, inputs, present, out: bytesOf(job.out) }
}

function finish<A extends FloatArray>(
  { op, layout, inputs, out, withCoefficients }: LocalJob<A>,
  statistics: SliceStatistics | undefined,
  nonFiniteRanks: number[],
): Reduction<A> {
  // Nothing took part: the result is the first input, as it is on a rank that was left out with all others.
  if (!statistics) out.set(inputs[0]!)
  const fullWidth = 1 + inputs.length
  const rows = emptySegmentRows(layout.segmentElementCounts.length, fullWidth)
  if (statistics) rows.set(statistics.values, statistics.firstSegment * fullWidth)
  else rows.fill(NaN)
  const segments = reportSegments(layout, rows, op === 'adasum' ? fullWidth : 0)
  if (!withCoefficients) for (const segment of segments) delete segment.coefficients
  return { result: out, segments, nonFiniteRanks, bytesSent: 0 }
}
