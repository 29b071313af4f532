import { AdasumError, inspect } from '../errors.ts'
import type { NumericArray } from '../types.ts'
import { DTYPE_CODES, INTEGER_CODES } from '../binding/binding.ts'
import { typedArrayName } from '../binding/typed-array.ts'

/** A dtype: its code in frame headers (and, for those that can be reduced, in the binding) and its array type. */
export interface Dtype {
  /** Its name, such as `f32`. */
  readonly name: string
  /** Its code in frames and in the binding. */
  readonly code: number
  /** Bytes of an element. */
  readonly byteLength: number
  /** Whether it is a float. */
  readonly isFloat: boolean
  /** Whether it is an integer that can be folded. */
  readonly isFoldedInteger: boolean
  /** The class of arrays of it. */
  readonly Array: NumericArrayConstructor
}

interface NumericArrayConstructor {
  readonly name: string
  readonly BYTES_PER_ELEMENT: number
  new (buffer: ArrayBuffer, byteOffset: number, length: number): NumericArray
  new (length: number): NumericArray
}

const FLOAT_CODES: ReadonlySet<number> = new Set(Object.values(DTYPE_CODES))
const FOLDED_CODES: ReadonlySet<number> = new Set(Object.values(INTEGER_CODES))

function dtype(name: string, code: number, constructor: NumericArrayConstructor): Dtype {
  return {
    name,
    code,
    byteLength: constructor.BYTES_PER_ELEMENT,
    isFloat: FLOAT_CODES.has(code),
    isFoldedInteger: FOLDED_CODES.has(code),
    Array: constructor,
  }
}

/**
 * The half formats. Not every platform has a typed array for them: their bits lie in a Uint16Array, and the caller
 * names the format.
 */
const HALF_DTYPES: readonly Dtype[] = [
  dtype('f16', DTYPE_CODES.f16, Uint16Array),
  dtype('bf16', DTYPE_CODES.bf16, Uint16Array),
]

const ARRAY_DTYPES: readonly Dtype[] = [
  dtype('f32', DTYPE_CODES.f32, Float32Array),
  dtype('f64', DTYPE_CODES.f64, Float64Array),
  dtype('i8', 4, Int8Array),
  dtype('u8', INTEGER_CODES.u8, Uint8Array),
  dtype('u8c', 6, Uint8ClampedArray),
  dtype('i16', 7, Int16Array),
  dtype('u16', 8, Uint16Array),
  dtype('i32', INTEGER_CODES.i32, Int32Array),
  dtype('u32', INTEGER_CODES.u32, Uint32Array),
  dtype('i64', INTEGER_CODES.i64, BigInt64Array),
  dtype('u64', INTEGER_CODES.u64, BigUint64Array),
]

const BY_NAME: ReadonlyMap<string, Dtype> = new Map(ARRAY_DTYPES.map((entry) => [entry.Array.name, entry]))

/** The dtype of a typed array; Buffers count as u8. Undefined for everything else. */
export function dtypeOf(value: unknown): Dtype | undefined {
  return BY_NAME.get(typedArrayName(value) ?? '')
}

/** The name of a dtype's code, for messages about what a peer sent. */
export function dtypeName(code: number): string {
  return [...ARRAY_DTYPES, ...HALF_DTYPES].find((entry) => entry.code === code)?.name ?? `dtype ${code}`
}

/** Bytes of an element; 0 for an unknown code. */
export function dtypeByteLength(code: number): number {
  return [...ARRAY_DTYPES, ...HALF_DTYPES].find((entry) => entry.code === code)?.byteLength ?? 0
}

/** The half format of that name, or undefined. */
export function halfDtype(name: unknown): Dtype | undefined {
  return HALF_DTYPES.find((entry) => entry.name === name)
}

/**
 * The dtype that a reduction of `dtype` stores in an array of dtype `found`: f32 if it widens a half format, else
 * `dtype`.
 */
export function resultDtypeOf(dtype: Dtype, found: Dtype): Dtype {
  return HALF_DTYPES.includes(dtype) && found.code === DTYPE_CODES.f32 ? found : dtype
}

/** Arrays by the names of their dtypes, as `allocate` takes them. */
export interface ArraysByName {
  /** IEEE binary32. */
  f32: Float32Array
  /** IEEE binary64. */
  f64: Float64Array
  /** IEEE binary16, as bits. */
  f16: Uint16Array
  /** bfloat16, as bits. */
  bf16: Uint16Array
  /** Signed, 8 bits. */
  i8: Int8Array
  /** Unsigned, 8 bits. */
  u8: Uint8Array
  /** Signed, 16 bits. */
  i16: Int16Array
  /** Unsigned, 16 bits. */
  u16: Uint16Array
  /** Signed, 32 bits. */
  i32: Int32Array
  /** Unsigned, 32 bits. */
  u32: Uint32Array
  /** Signed, 64 bits. */
  i64: BigInt64Array
  /** Unsigned, 64 bits. */
  u64: BigUint64Array
}

/** The dtype of that name, or ERR_ARGUMENT. */
export function namedDtype(name: unknown): Dtype {
  const all = [...ARRAY_DTYPES, ...HALF_DTYPES].filter((entry) => entry.name !== 'u8c')
  const found = all.find((entry) => entry.name === name)
  if (found) return found
  const names = all.map((entry) => entry.name).join(', ')
  throw new AdasumError('ERR_ARGUMENT', `there is no dtype ${inspect(name)}; there are ${names}.`)
}

/** A new zeroed array like `array`, `elementCount` long. */
export function newArrayLike<A extends NumericArray>(array: A, elementCount: number): A {
  const type = dtypeOf(array)
  if (!type) throw new AdasumError('ERR_ARGUMENT', 'Expected a typed array.')
  return new type.Array(elementCount) as A
}
