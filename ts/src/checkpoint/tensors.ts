/** Tensors of a file as typed arrays, and typed arrays as tensors of a file. */
import { AdasumError, inspect } from '../errors.ts'
import { elementCountOf } from '../optim/weight-layout.ts'
import { bytesOf, checkArray, kindOf, wholeNumber } from '../tensor/check.ts'
import type { NumericArray } from '../types.ts'
import { displayText } from './json-reader.ts'
import type { StoredTensor } from './safetensors.ts'
import { DTYPE_BITS } from './safetensors-header.ts'

/** The dtypes of the safetensors format that have whole bytes. */
const ARRAY_TYPES = {
  F64: Float64Array,
  F32: Float32Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  I64: BigInt64Array,
  I32: Int32Array,
  I16: Int16Array,
  I8: Int8Array,
  U64: BigUint64Array,
  U32: Uint32Array,
  U16: Uint16Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
} as const

/** What an array is stored as where nothing else is said, by the library's own name of its dtype. */
const DTYPE_OF_ARRAY: Readonly<Record<string, string>> = {
  ...{ f64: 'F64', f32: 'F32', i64: 'I64', i32: 'I32', i16: 'I16', i8: 'I8' },
  ...{ u64: 'U64', u32: 'U32', u16: 'U16', u8: 'U8', u8c: 'U8' },
}

/** A tensor of a file. */
export interface FileTensor {
  /**
   * As the format names it: F64, F32, F16, BF16, I64, I32, I16, I8, U64, U32, U16, U8, BOOL, or one of the formats of 8
   * bits and less.
   */
  readonly dtype: string
  /** The size of each dimension; empty for a scalar. */
  readonly shape: readonly number[]
  /**
   * Elements in row-major order, in memory of their own. F16 and BF16 are their bits, in a Uint16Array; BOOL is 0 and 1,
   * in a Uint8Array; what JavaScript has no array for (F8_E4M3, C64, F4, ...) is its bytes.
   */
  readonly data: NumericArray
}

/** What can be stored: an array of one dimension, or an array with its shape. */
export type TensorInput = NumericArray | TensorSpec

/** An array with its shape, to be stored. */
export interface TensorSpec {
  /** Elements in row-major order. */
  data: NumericArray
  /** Default: one dimension. */
  shape?: readonly number[]
  /** What the elements are, where the array does not say it: F16 or BF16 in a Uint16Array, BOOL in a Uint8Array. */
  dtype?: string
}

/** Tensors by name. A Map keeps the order of names that are numbers, an object does not. */
export type TensorInputs = Readonly<Record<string, TensorInput>> | ReadonlyMap<string, TensorInput>

export function fileTensor({ dtype, shape, bytes }: StoredTensor): FileTensor {
  const Type = Object.hasOwn(ARRAY_TYPES, dtype) ? ARRAY_TYPES[dtype as keyof typeof ARRAY_TYPES] : Uint8Array
  return { dtype, shape, data: new Type(bytes.buffer as ArrayBuffer) }
}

/**
 * The bytes are those of the caller's arrays, not copies.
 * @throws AdasumError ERR_ARGUMENT for what is no array, or does not have the shape or dtype that is said
 */
export function storedTensors(inputs: TensorInputs): StoredTensor[] {
  const entries: [string, TensorInput][] = isMap(inputs) ? [...inputs] : Object.entries(inputs)
  return entries.map(([name, input]) => storedTensor(name, input))
}

// A Map of another realm is one, too.
function isMap(inputs: TensorInputs): inputs is ReadonlyMap<string, TensorInput> {
  if (typeof inputs !== 'object' || inputs === null)
    throw new AdasumError('ERR_ARGUMENT', `expected named arrays; got ${kindOf(inputs)}. Pass { name: array }.`)
  return Object.prototype.toString.call(inputs) === '[object Map]'
}

function storedTensor(name: string, input: TensorInput): StoredTensor {
  const what = `the array ${displayText(name)}`
  const isSpec = typeof input === 'object' && input !== null && !ArrayBuffer.isView(input)
  const { data, shape, dtype }: TensorSpec = isSpec ? input : { data: input }
  const found = checkArray(data, what)
  const stored = dtype ?? DTYPE_OF_ARRAY[found.name]!
  if (DTYPE_BITS.get(stored) !== 8 * found.byteLength)
    throw new AdasumError(
      'ERR_ARGUMENT',
      `${what} is to be ${inspect(dtype)} and has elements of ${8 * found.byteLength} bits. Name a dtype of that size.`,
    )
  const sizes = shape === undefined ? [data.length] : [...shape].map((size) => wholeNumber(size, `a size of ${what}`))
  const count = elementCountOf(sizes)
  if (count !== data.length)
    throw new AdasumError(
      'ERR_ARGUMENT',
      `${what} has ${data.length} elements, its shape [${sizes.join(', ')}] ${count}. Pass the shape of the data.`,
    )
  return { name, dtype: stored, shape: sizes, bytes: bytesOf(data) }
}
