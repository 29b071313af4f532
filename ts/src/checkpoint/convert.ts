/** The numbers of a tensor in another dtype. */
import { AdasumError, inspect } from '../errors.ts'
import { oneOf } from '../tensor/check.ts'
import type { FileTensor } from './tensors.ts'

const TARGETS = { f32: Float32Array, f64: Float64Array, i32: Int32Array } as const
const TARGET_NAMES = Object.keys(TARGETS) as (keyof typeof TARGETS)[]
const FLOATS = ['F64', 'F32', 'F16', 'BF16']
const INTEGERS = ['I64', 'I32', 'I16', 'I8', 'U64', 'U32', 'U16', 'U8', 'BOOL']

export interface ConvertedArrays {
  /** As IEEE binary32. */
  f32: Float32Array
  /** As IEEE binary64. */
  f64: Float64Array
  /** As signed integers of 32 bits. */
  i32: Int32Array
}

/**
 * The elements of a tensor as f32, f64 or i32, in an array of their own. F16, BF16 and every integer that a float can hold
 * stay exact; F64 and larger integers are rounded to nearest,
 * ties to even, integers of 64 bits to f32 by way of f64.
 *
 * @throws AdasumError ERR_UNSUPPORTED for a dtype without such numbers (formats of 8 bits and less, complex ones; floats as
 *   i32); ERR_ARGUMENT for an integer that i32 cannot hold, and for another target
 */
export function convertTensor<T extends keyof ConvertedArrays>(tensor: FileTensor, to: T): ConvertedArrays[T] {
  oneOf(to, TARGET_NAMES, 'the dtype to convert to')
  const { dtype, data } = tensor
  const isInteger = INTEGERS.includes(dtype)
  if (!isInteger && (to === 'i32' || !FLOATS.includes(dtype)))
    throw new AdasumError('ERR_UNSUPPORTED', `${inspect(dtype)} cannot be read as ${to}. Use its data as they are.`)
  const numbers = numbersOf(dtype, data)
  const converted = new TARGETS[to](data.length)
  for (let i = 0; i < converted.length; i++) converted[i] = to === 'i32' ? checkInt32(numbers(i)) : numbers(i)
  return converted as ConvertedArrays[T]
}

function numbersOf(dtype: string, data: ArrayLike<number | bigint>): (index: number) => number {
  if (dtype === 'F16') return (index) => halfOf(data[index] as number)
  if (dtype === 'BF16') return bfloatsOf(data as ArrayLike<number>)
  if (dtype === 'I64' || dtype === 'U64') return (index) => Number(data[index])
  return (index) => data[index] as number
}

/** The value of the bits of an IEEE 754 half: a sign, 5 bits of exponent, 10 of fraction. */
function halfOf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const [exponent, fraction] = [(bits >> 10) & 0x1f, bits & 0x3ff]
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25)
}

/** A bfloat16 is the upper half of an f32. */
function bfloatsOf(data: ArrayLike<number>): (index: number) => number {
  const word = new Uint32Array(1)
  const value = new Float32Array(word.buffer)
  return (index) => {
    word[0] = data[index]! << 16
    return value[0]!
  }
}

function checkInt32(value: number): number {
  if ((value | 0) === value) return value
  throw new AdasumError('ERR_ARGUMENT', `${value} does not fit into i32, from -2^31 to 2^31 - 1. Convert to f64.`)
}
