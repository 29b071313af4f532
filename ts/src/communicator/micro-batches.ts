/**
 * Micro-batches: several vectors of one rank. This process combines them first, on the CPU or on a device, and sends
 * only the result. An argument that is wrong throws on this rank alone, before any work begins. An error while the
 * vectors are combined fails the group, since the other ranks already wait for this one.
 */
import { lengthOf, typedArrayName } from '../binding/typed-array.ts'
import { AdasumError } from '../errors.ts'
import { isGpuReducer } from '../gpu/is-gpu-reducer.ts'
import type { GpuArray, GpuReducer } from '../gpu/gpu-reducer.ts'
import { planReduction } from '../reduction/local.ts'
import { checkOperation, plainOperation } from '../reduction/operation.ts'
import { checkLocalOp, checkOnNonFinite } from '../reduction/options.ts'
import { reportGpuSegments } from '../reduction/report.ts'
import { checkArray, checkDisjoint, checkOptions, kindOf } from '../tensor/check.ts'
import { dtypeOf, newArrayLike } from '../tensor/dtype.ts'
import type { AllReduceOptions, HalfDtype, LocalReduction, OnNonFinite, ReduceOp, ReducibleArray } from '../types.ts'
import { MICRO_BATCH_OPTIONS, type MicroBatchOptions } from './options.ts'

/** What a rank does before an all-reduce of `data` with `options`. */
export interface LocalStage {
  readonly localOp: ReduceOp
  /** Where the local result goes, which is then combined with those of the other ranks. */
  readonly data: ReducibleArray
  readonly options: AllReduceOptions<ReducibleArray>
  run(): Promise<LocalReduction>
}

type Options = MicroBatchOptions<ReducibleArray>

/** How micro-batches are combined, be they arrays or the slots of a GpuReducer. */
type MicroBatchPlan = Pick<LocalStage, 'data' | 'options' | 'run'> & { readonly inputCount: number }

/**
 * Undefined for data that are no micro-batches: they are combined with those of the other ranks as they are.
 *
 * @throws AdasumError ERR_ARGUMENT, ERR_UNSUPPORTED
 */
export function planLocalStage(data: unknown, options: object): LocalStage | undefined {
  const isList = Array.isArray(data) && data.length > 0 && data.every((item) => ArrayBuffer.isView(item))
  const isNamed = (options as Partial<Options> | null | undefined)?.local !== undefined
  if (!isNamed && !isList && !isGpuReducer(data)) return undefined
  checkOptions(options as Options, MICRO_BATCH_OPTIONS)
  const { local, ...others } = options as Options
  const localOp = checkLocalOp(local)
  const policy = checkOnNonFinite(others.onNonFinite, checkOperation(others.op).name)
  const plan = isGpuReducer(data) ? planSlots(data, localOp, others) : planArrays(data, localOp, others)
  const run = async (): Promise<LocalReduction> => {
    const found = await plan.run()
    // The ranks find out together whose input is not finite, by what each contributes. So this rank contributes NaN if
    // one such micro-batch is enough to throw, or if none is finite: then the whole rank is left out.
    const { length } = found.nonFiniteInputs
    if (length > 0 && (policy === 'throw' || length === plan.inputCount)) makeNonFinite(plan.data)
    return found
  }
  return { localOp, data: plan.data, options: plan.options, run }
}

function planArrays(data: unknown, localOp: ReduceOp, options: Omit<Options, 'local'>): MicroBatchPlan {
  if (!Array.isArray(data))
    throw new AdasumError(
      'ERR_ARGUMENT',
      `local is ${localOp}, and data is ${kindOf(data)}. Micro-batches are a list of typed arrays, or a GpuReducer.`,
    )
  const inputs = [...(data as readonly ReducibleArray[])]
  const { backend, ...others } = options
  if (inputs.length > 0) checkArray(inputs[0], 'inputs[0]')
  const like = inputs[0] ?? new Float32Array(0)
  const target = localTargetOf(others, like, lengthOf(like))
  const { dtype, segments, coefficients, gram } = others
  // The CPU has the matrices anyway; a device keeps its own.
  const hasGram = localOp === 'adasum' && (backend === undefined || backend === 'cpu')
  const reduce = planReduction(plainOperation(localOp), inputs, {
    out: target.data,
    onNonFinite: localPolicy(others),
    ...(backend !== undefined && { backend }),
    ...(dtype !== undefined && { dtype }),
    ...(segments !== undefined && { segments }),
    ...(coefficients !== undefined && { coefficients }),
    ...(hasGram && gram !== undefined && { gram }),
  })
  if (target.options.out !== undefined && dtypeOf(target.options.out)) checkApart(inputs, target.options.out)
  const run = async (): Promise<LocalReduction> => {
    const { segments, nonFiniteRanks } = await reduce()
    return { segments, nonFiniteInputs: nonFiniteRanks }
  }
  return { ...target, inputCount: inputs.length, run }
}

function planSlots(reducer: GpuReducer, localOp: ReduceOp, options: Omit<Options, 'local'>): MicroBatchPlan {
  const { layout, dtype, slotCount } = reducer
  if (reducer.isClosed) throw new AdasumError('ERR_ARGUMENT', 'the GpuReducer is closed. Make another one.')
  for (const name of ['backend', 'dtype', 'segments'] as const)
    if (options[name] !== undefined)
      throw new AdasumError('ERR_ARGUMENT', `the slots of a GpuReducer have their own ${name}. Leave \`${name}\` out.`)
  const { out, coefficients } = options
  if (out !== undefined) checkArray(out, 'out')
  if (out !== undefined && lengthOf(out) !== layout.elementCount)
    throw new AdasumError(
      'ERR_ARGUMENT',
      `out has ${lengthOf(out)} elements, a slot has ${layout.elementCount}. Use equal lengths.`,
    )
  const like = new dtype.Array(0) as ReducibleArray
  const { data, options: others } = localTargetOf(options, like, layout.elementCount)
  const half = dtype.name === 'f32' ? {} : { dtype: dtype.name as HalfDtype }
  const run = async (): Promise<LocalReduction> => {
    // Both begin at once, so that no other call of the caller's comes between them.
    const both = [
      reducer.reduce(localOp, { onNonFinite: localPolicy(options) }),
      reducer.read(data as GpuArray),
    ] as const
    // Neither touches the memory any more when the first failure is thrown.
    await Promise.allSettled(both)
    const [record] = await Promise.all(both)
    const report = { op: localOp, inputCount: slotCount, withCoefficients: coefficients === true }
    return { segments: reportGpuSegments(layout, record, report), nonFiniteInputs: record.nonFinite }
  }
  const segments = layout.segmentElementCounts
  return { data, options: { ...others, ...half, segments }, inputCount: slotCount, run }
}

/**
 * Where the local result goes: to `out`. It goes to a new array like `like` if there is no `out`, or one of f32 while
 * the data sent is of a half format.
 */
function localTargetOf(
  options: AllReduceOptions<ReducibleArray>,
  like: ReducibleArray,
  elementCount: number,
): Pick<LocalStage, 'data' | 'options'> {
  const { out, ...others } = options
  if (out !== undefined && dtypeOf(out) === dtypeOf(like)) return { data: out, options: others }
  return { data: newArrayLike(like, elementCount), options }
}

function checkApart(inputs: readonly ReducibleArray[], out: ReducibleArray): void {
  for (const [index, array] of inputs.entries())
    checkDisjoint([
      { array, what: `inputs[${index}]` },
      { array: out, what: 'out' },
    ])
}

/**
 * The policy while a rank combines its micro-batches. It is never to throw: if the ranks throw, they do so together.
 */
function localPolicy({ op, onNonFinite }: Pick<Options, 'op' | 'onNonFinite'>): OnNonFinite {
  return checkOnNonFinite(onNonFinite, checkOperation(op).name) === 'propagate' ? 'propagate' : 'skip'
}

/** Bits that are NaN in both half formats. */
const HALF_NAN = 0x7fff

function makeNonFinite(data: ReducibleArray): void {
  data[0] = typedArrayName(data) === 'Uint16Array' ? HALF_NAN : NaN
}
