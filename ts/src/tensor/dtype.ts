import { AdasumError } from '../errors.ts'
import type { FloatArray, NumericArray } from '../types.ts'
import { DTYPE_CODES } from '../binding/binding.ts'

/** A dtype: its code in frame headers (and, for those that can be reduced, in the binding) and its array type. */
export interface Dtype {
  readonly name: string
  readonly code: number
  readonly byteLength: number
  readonly isFloat: boolean
  readonly Array: NumericArrayConstructor
}

interface NumericArrayConstructor {
  readonly name: string
  readonly BYTES_PER_ELEMENT: number
  new (buffer: ArrayBuffer, byteOffset: number, length: number): NumericArray
  new (length: number): NumericArray
}

function dtype(name: string, code: number, constructor: NumericArrayConstructor): Dtype {
  return { name, code, byteLength: constructor.BYTES_PER_ELEMENT, isFloat: code in FLOAT_CODES, Array: constructor }
}

const FLOAT_CODES: Record<number, true> = { [DTYPE_CODES.f32]: true, [DTYPE_CODES.f64]: true }

// Codes 2 and 3 are kept for f16 and bf16.
const DTYPES: readonly Dtype[] = [
  dtype('f32', DTYPE_CODES.f32, Float32Array),
  dtype('f64', DTYPE_CODES.f64, Float64Array),
  dtype('i8', 4, Int8Array),
  dtype('u8', 5, Uint8Array),
  dtype('u8c', 6, Uint8ClampedArray),
  dtype('i16', 7, Int16Array),
  dtype('u16', 8, Uint16Array),
  dtype('i32', 9, Int32Array),
  dtype('u32', 10, Uint32Array),
  dtype('i64', 11, BigInt64Array),
  dtype('u64', 12, BigUint64Array),
]

const BY_TAG: ReadonlyMap<string, Dtype> = new Map(DTYPES.map((entry) => [entry.Array.name, entry]))

/** The dtype of a typed array; Buffers count as u8. Undefined for everything else. */
export function dtypeOf(value: unknown): Dtype | undefined {
  if (!ArrayBuffer.isView(value)) return undefined
  // The tag is a getter of the TypedArray prototype: it works across realms and cannot be fooled by a property.
  return BY_TAG.get(typedArrayTag.call(value) ?? '')
}

const { get: typedArrayTag } = Object.getOwnPropertyDescriptor(
  Object.getPrototypeOf(Uint8Array.prototype) as object,
  Symbol.toStringTag,
) as { get: (this: unknown) => string | undefined }

/** Name of a dtype code, for messages about what a peer sent. */
export function dtypeName(code: number): string {
  return DTYPES.find((entry) => entry.code === code)?.name ?? `dtype ${code}`
}

export function isFloatArray(value: NumericArray): value is FloatArray {
  return dtypeOf(value)?.isFloat === true
}

/** A new zeroed array like `array`, `elementCount` long. */
export function newArrayLike<A extends NumericArray>(array: A, elementCount: number): A {
  const type = dtypeOf(array)
  if (!type) throw new AdasumError('ERR_ARGUMENT', 'Expected a typed array.')
  return new type.Array(elementCount) as A
}
