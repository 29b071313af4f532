/**
 * Micro-batches: several vectors of one rank, combined in this process first, on the CPU or on a device, so that one of them
 * leaves it. What is found to be wrong before that is this rank's affair; what goes wrong while it is done fails the group,
 * since the other ranks wait for it.
 */
import { lengthOf, typedArrayName } from '../binding/typed-array.ts'
import { AdasumError } from '../errors.ts'
import { isGpuReducer } from '../gpu/is-gpu-reducer.ts'
import type { GpuArray, GpuReducer } from '../gpu/gpu-reducer.ts'
import { planReduction } from '../reduction/local.ts'
import { checkAllReduceOp, checkLocalOp, checkOnNonFinite } from '../reduction/options.ts'
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

/** What the two kinds of micro-batches need. */
type Plan = Pick<LocalStage, 'data' | 'options' | 'run'> & { readonly inputCount: number }

/**
 * Undefined for data that is combined with that of the other ranks as it is.
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
  const policy = checkOnNonFinite(others.onNonFinite, checkAllReduceOp(others.op))
  const plan = isGpuReducer(data) ? planSlots(data, localOp, others) : planArrays(data, localOp, others)
  const run = async (): Promise<LocalReduction> => {
    const found = await plan.run()
    // Ranks agree on what is not finite, so all of them must hear of it: by what this rank contributes. Where some micro-batches
    // may be left out, it is the rank that is if all of them are.
    const { length } = found.nonFiniteInputs
    if (length > 0 && (policy === 'throw' || length === plan.inputCount)) spoil(plan.data)
    return found
  }
  return { localOp, data: plan.data, options: plan.options, run }
}

function planArrays(data: unknown, localOp: ReduceOp, options: Omit<Options, 'local'>): Plan {
  if (!Array.isArray(data))
    throw new AdasumError(
      'ERR_ARGUMENT',
      `local is ${localOp}, and data is ${kindOf(data)}. Micro-batches are a list of typed arrays, or a GpuReducer.`,
    )
  const inputs = [...(data as readonly ReducibleArray[])]
  const { backend, ...others } = options
  if (inputs.length > 0) checkArray(inputs[0], 'inputs[0]')
  const like = inputs[0] ?? new Float32Array(0)
  const place = placeOf(others, like, lengthOf(like))
  const { dtype, segments, coefficients } = others
  const reduce = planReduction(localOp, inputs, {
    out: place.data,
    onNonFinite: localPolicy(others),
    ...(backend !== undefined && { backend }),
    ...(dtype !== undefined && { dtype }),
    ...(segments !== undefined && { segments }),
    ...(coefficients !== undefined && { coefficients }),
  })
  if (place.options.out !== undefined && dtypeOf(place.options.out)) checkApart(inputs, place.options.out)
  const run = async (): Promise<LocalReduction> => {
    const { segments, nonFiniteRanks } = await reduce()
    return { segments, nonFiniteInputs: nonFiniteRanks }
  }
  return { ...place, inputCount: inputs.length, run }
}

function planSlots(reducer: GpuReducer, localOp: ReduceOp, options: Omit<Options, 'local'>): Plan {
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
  const { data, options: others } = placeOf(options, like, layout.elementCount)
  const half = dtype.name === 'f32' ? {} : { dtype: dtype.name as HalfDtype }
  const run = async (): Promise<LocalReduction> => {
    // Asked for at once: nothing that the caller asks of the reducer meanwhile comes between them.
    const asked = [
      reducer.reduce(localOp, { onNonFinite: localPolicy(options) }),
      reducer.read(data as GpuArray),
    ] as const
    // Neither touches the memory any more when the first failure is thrown.
    await Promise.allSettled(asked)
    const [record] = await Promise.all(asked)
    const report = { op: localOp, inputCount: slotCount, withCoefficients: coefficients === true }
    return { segments: reportGpuSegments(layout, record, report), nonFiniteInputs: record.nonFinite }
  }
  const segments = layout.segmentElementCounts
  return { data, options: { ...others, ...half, segments }, inputCount: slotCount, run }
}

/** The local result goes to `out`; to a new array like `like` without it, and where it is f32 while halves are sent. */
function placeOf(
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

/** A micro-batch that is not finite is told, not thrown: ranks throw together, if they do. */
function localPolicy({ op, onNonFinite }: Pick<Options, 'op' | 'onNonFinite'>): OnNonFinite {
  return checkOnNonFinite(onNonFinite, op) === 'propagate' ? 'propagate' : 'skip'
}

/** Bits that are NaN in both half formats. */
const HALF_NAN = 0x7fff

function spoil(data: ReducibleArray): void {
  data[0] = typedArrayName(data) === 'Uint16Array' ? HALF_NAN : NaN
}
