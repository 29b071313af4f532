/** Checks of the arrays that the local functions are given: inputs of one dtype and length, and where the result goes. */
import { lengthOf } from '../binding/typed-array.ts'
import { AdasumError, inspect } from '../errors.ts'
import { checkArray } from '../tensor/check.ts'
import { type Dtype, newArrayLike, resultDtypeOf } from '../tensor/dtype.ts'
import type { ReducibleArray } from '../types.ts'

/** A Gram matrix of even fewer inputs would be too large. */
export const MOST_INPUTS: number = 1 << 16

/** A copy of the list of inputs. */
export function listOf(inputs: unknown): ReducibleArray[] {
  if (!Array.isArray(inputs) || inputs.length === 0)
    throw new AdasumError('ERR_ARGUMENT', 'inputs must be a list of at least one typed array.')
  // A proxy of a list may claim any length.
  if (!(inputs.length <= MOST_INPUTS))
    throw new AdasumError(
      'ERR_ARGUMENT',
      `inputs has ${inspect(inputs.length)} arrays, of which there may be ${MOST_INPUTS}.`,
    )
  return Array.from({ length: inputs.length }, (_, index) => inputs[index] as ReducibleArray)
}

/** ERR_ARGUMENT unless `array` has the dtype and length of the first input. */
export function checkLike(array: unknown, what: string, dtype: Dtype, elementCount: number): void {
  const other = checkArray(array, what)
  if (other !== dtype)
    throw new AdasumError('ERR_ARGUMENT', `${what} is ${other.name}, inputs[0] is ${dtype.name}. Use one dtype.`)
  const length = lengthOf(array as ReducibleArray)
  if (length !== elementCount)
    throw new AdasumError(
      'ERR_ARGUMENT',
      `${what} has ${length} elements, inputs[0] has ${elementCount}. Use equal lengths.`,
    )
}

/** `out`, or a new array, and the dtype of what goes there. */
export function checkResult(
  given: ReducibleArray | undefined,
  first: ReducibleArray,
  dtype: Dtype,
): { out: ReducibleArray; resultDtype: Dtype } {
  if (given === undefined) return { out: newArrayLike(first, lengthOf(first)), resultDtype: dtype }
  const found = checkArray(given, 'out')
  const resultDtype = resultDtypeOf(dtype, found)
  checkLike(given, 'out', resultDtype === dtype ? checkArray(first, 'inputs[0]') : found, lengthOf(first))
  return { out: given, resultDtype }
}
