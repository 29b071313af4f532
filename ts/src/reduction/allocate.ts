/** Arrays from which the local functions need not copy. */
import { typedArrayName } from '../binding/typed-array.ts'
import { isReady, loadBinding, readyBinding } from '#binding'
import { AdasumError, reading } from '../errors.ts'
import { wholeNumber } from '../tensor/check.ts'
import type { ReducibleArray } from '../types.ts'

/** The class of an array that can be reduced. */
export interface ReducibleArrayConstructor<A extends ReducibleArray> {
  /** Its name, such as `Float32Array`. */
  readonly name: string
  /** Bytes of an element. */
  readonly BYTES_PER_ELEMENT: number
  new (buffer: ArrayBuffer, byteOffset: number, length: number): A
  new (length: number): A
}

/**
 * Arrays in the memory in which the kernels run, zeroed. Where WebAssembly computes, the local functions use these
 * where they are, as inputs and as `out`, and copy every other array; the native addon copies none.
 *
 * The memory is never given back. Ask for all arrays at once and before the first reduction: like every view of
 * WebAssembly's memory they are detached when it has to grow, as by another call of this function, or by a reduction of
 * hundreds of inputs. The local functions refuse a detached array.
 *
 * @param type - Float32Array, Float64Array, or Uint16Array for half formats
 * @param elementCount - of each array
 * @param count - how many arrays
 * @throws AdasumError ERR_ARGUMENT for other types and counts, or if the memory has no room for so many
 */
export async function allocateArrays<A extends ReducibleArray>(
  type: ReducibleArrayConstructor<A>,
  elementCount: number,
  count: number,
): Promise<A[]> {
  if (!reading('type', () => isReducible(type)))
    throw new AdasumError('ERR_ARGUMENT', 'type must be Float32Array, Float64Array or Uint16Array.')
  for (const [name, value] of Object.entries({ elementCount, count })) wholeNumber(value, name)
  const { allocate } = isReady() ? loadBinding() : await readyBinding()
  if (!allocate) return Array.from({ length: count }, () => new type(elementCount))
  // Each begins at a multiple of the alignment of every dtype.
  const stride = Math.ceil((elementCount * type.BYTES_PER_ELEMENT) / ALIGNMENT) * ALIGNMENT
  const { buffer, byteOffset } = allocate(stride * count)
  return Array.from({ length: count }, (_, i) => new type(buffer as ArrayBuffer, byteOffset + i * stride, elementCount))
}

const ALIGNMENT = 16

/** Judges a class by the array that it makes, since the class may be of another realm. */
function isReducible(type: unknown): boolean {
  if (typeof type !== 'function' || !['Float32Array', 'Float64Array', 'Uint16Array'].includes(type.name)) return false
  return typedArrayName(new (type as ReducibleArrayConstructor<ReducibleArray>)(0)) === type.name
}
