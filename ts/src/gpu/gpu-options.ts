/** The options of a reduction on a device, and their checks. */
import { OP_CODES } from '../binding/binding.ts'
import { AdasumError, inspect } from '../errors.ts'
import { checkOptions, oneOf, wholeNumber } from '../tensor/check.ts'
import { type Dtype, dtypeOf, halfDtype } from '../tensor/dtype.ts'
import type { OnNonFinite, OptionNames, ReduceOp } from '../types.ts'
import { POLICY_CODES } from './gpu-binding.ts'

/** Options of a reduction on a device. */
export interface GpuReduceOptions {
  /** Default `throw` for adasum, `propagate` for sum and average. */
  onNonFinite?: OnNonFinite
  /** `f32`: the result of half formats is stored as f32. Default: the slots' dtype. */
  result?: 'f32'
}

const REDUCE_OPTIONS: OptionNames<GpuReduceOptions> = { onNonFinite: true, result: true }

/**
 * The codes of a reduction's arguments.
 *
 * @throws AdasumError ERR_ARGUMENT for an unknown operator, option or value; ERR_UNSUPPORTED for an operator with
 *   parameters
 */
export function checkReduction(
  op: ReduceOp,
  options: GpuReduceOptions,
  ownDtype: Dtype,
): { opCode: number; policyCode: number; dtype: Dtype } {
  checkOptions(options, REDUCE_OPTIONS)
  const { onNonFinite = op === 'adasum' ? 'throw' : 'propagate', result } = options
  if (typeof op === 'object' && op !== null)
    throw new AdasumError(
      'ERR_UNSUPPORTED',
      `op is an operator with parameters, a GPU computes ${Object.keys(OP_CODES).join(', ')}. Use the function reduce on the CPU.`,
    )
  oneOf(op, Object.keys(OP_CODES), 'op')
  oneOf(onNonFinite, Object.keys(POLICY_CODES), 'onNonFinite')
  if (result !== undefined && result !== 'f32')
    throw new AdasumError('ERR_ARGUMENT', `result is ${inspect(result)}; it must be f32, or absent.`)
  const dtype = result === 'f32' ? dtypeNamed('f32') : ownDtype
  return { opCode: OP_CODES[op], policyCode: POLICY_CODES[onNonFinite], dtype }
}

/** @throws AdasumError ERR_ARGUMENT for a dtype that devices do not reduce */
export function dtypeNamed(name: string): Dtype {
  const dtype = name === 'f32' ? dtypeOf(new Float32Array(0)) : halfDtype(name)
  if (dtype) return dtype
  throw new AdasumError('ERR_ARGUMENT', `dtype is ${inspect(name)}; it must be one of f32, f16, bf16.`)
}

/** @throws AdasumError ERR_ARGUMENT unless the number of vectors is an integer from 1 to 65,535 */
export function checkCountOfVectors(name: string, count: number): void {
  wholeNumber(count, name, { least: 1, most: 0xffff })
}
