/** Folds by their definition, on plain numbers and bigints. */
import { DTYPE_CODES, INTEGER_CODES } from '../../ts/src/binding/binding.ts'
import type { NumericArray } from '../../ts/src/types.ts'
import { halvesOf, widened } from './_half.ts'

export type FoldName = 'sum' | 'min' | 'max'
export type FoldArray = Exclude<NumericArray, Uint8ClampedArray | Int8Array | Int16Array>
export type FoldDtype = keyof typeof DTYPE_CODES | keyof typeof INTEGER_CODES

export interface FoldCase {
  readonly dtype: FoldDtype
  readonly code: number
  readonly ops: readonly FoldName[]
  readonly make: (length: number) => FoldArray
}

const ARRAYS: Record<FoldDtype, new (length: number) => FoldArray> = {
  f32: Float32Array,
  f64: Float64Array,
  f16: Uint16Array,
  bf16: Uint16Array,
  u8: Uint8Array,
  i32: Int32Array,
  u32: Uint32Array,
  i64: BigInt64Array,
  u64: BigUint64Array,
}

/** Every dtype that can be folded, and by which operators. */
export const FOLD_CASES: readonly FoldCase[] = Object.entries({ ...DTYPE_CODES, ...INTEGER_CODES }).map(
  ([name, code]) => {
    const dtype = name as FoldDtype
    const ops: FoldName[] = Object.hasOwn(INTEGER_CODES, dtype) ? ['sum', 'min', 'max'] : ['min', 'max']
    return { dtype, code, ops, make: (length) => new ARRAYS[dtype](length) }
  },
)

/** Joins two elements. Math.min and Math.max pass NaN on and know the signs of zeros. */
function join<T extends number | bigint>(op: FoldName, a: T, b: T): T {
  if (op === 'sum') return ((a as bigint) + (b as bigint)) as T
  if (typeof a === 'number') return Math[op](a, b as number) as T
  return (op === 'min') === a < b ? a : b
}

/** The fold of arrays, which storing rounds to nothing but modulo 2^bits. NaNs are the canonical ones. */
export function foldOracle(op: FoldName, dtype: FoldDtype, arrays: readonly FoldArray[]): FoldArray {
  const wide = arrays.map((array) => wideOf(dtype, array))
  const folded = [...wide[0]!]
  for (const values of wide.slice(1)) for (const [e, value] of values.entries()) folded[e] = join(op, folded[e]!, value)
  return narrowTo(dtype, folded)
}

type Wide = (number | bigint)[]

function wideOf(dtype: FoldDtype, array: FoldArray): Wide {
  if (dtype === 'f16' || dtype === 'bf16') return [...widened(dtype, array as Uint16Array)]
  const values: Wide = [...array]
  // So that sums beyond 2^53 stay exact.
  return dtype === 'f32' || dtype === 'f64' ? values : values.map(BigInt)
}

function narrowTo(dtype: FoldDtype, values: Wide): FoldArray {
  if (dtype === 'f16' || dtype === 'bf16') return halvesOf(dtype, values as number[])
  const array = new ARRAYS[dtype](values.length)
  const isBig = array instanceof BigInt64Array || array instanceof BigUint64Array
  const stored = (value: number | bigint): number | bigint => {
    if (typeof value === 'bigint') return isBig ? value : Number(BigInt.asIntN(32, value))
    // A NaN that was read may still have its bits.
    return Number.isNaN(value) ? NaN : value
  }
  values.forEach((value, i) => ((array as unknown as Wide)[i] = stored(value)))
  return array
}
