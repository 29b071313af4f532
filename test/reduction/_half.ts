/**
 * The half formats from their definition: every number of a format in a table, and rounding as a search in it. Slow, and
 * with nothing in common with the bit manipulations that are tested against it.
 */
import type { HalfDtype } from '../../ts/src/types.ts'
import { familyOf } from './_oracle.ts'

export const HALF_DTYPES: readonly HalfDtype[] = ['f16', 'bf16']

interface Format {
  /** Bits of infinity, and of the canonical NaN. */
  readonly infinity: number
  readonly nan: number
  /** The numbers from +0 to the largest, by their bits; and what would follow if the exponents went on. */
  readonly ascending: Float64Array
}

const FORMATS: Record<HalfDtype, Format> = { f16: formatOf(5, 10), bf16: formatOf(8, 7) }

function formatOf(exponentBits: number, fractionBits: number): Format {
  const bias = 2 ** (exponentBits - 1) - 1
  const infinity = (2 ** exponentBits - 1) << fractionBits
  const ascending = Float64Array.from({ length: infinity + 1 }, (_, bits) => {
    const exponent = bits >> fractionBits
    const fraction = (bits % 2 ** fractionBits) / 2 ** fractionBits
    return exponent === 0 ? fraction * 2 ** (1 - bias) : (1 + fraction) * 2 ** (exponent - bias)
  })
  return { infinity, nan: infinity | (1 << (fractionBits - 1)), ascending }
}

/** The number that 16 bits stand for. */
export function widen(dtype: HalfDtype, bits: number): number {
  const { infinity, ascending } = FORMATS[dtype]
  const magnitude = bits & 0x7fff
  if (magnitude > infinity) return NaN
  const absolute = magnitude === infinity ? Infinity : ascending[magnitude]!
  return bits >= 0x8000 ? -absolute : absolute
}

/** The bits of the nearest number, ties to even bits; NaN is the canonical one. */
export function round(dtype: HalfDtype, x: number): number {
  const { infinity, nan, ascending } = FORMATS[dtype]
  if (Number.isNaN(x)) return nan
  const sign = x < 0 || Object.is(x, -0) ? 0x8000 : 0
  const magnitude = Math.abs(x)
  // The last number that is not above the magnitude, and the next one.
  let low = 0
  let high = infinity
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (ascending[middle]! <= magnitude) low = middle
    else high = middle
  }
  const middle = (ascending[low]! + ascending[high]!) / 2
  const isUpper = magnitude > middle || (magnitude === middle && high % 2 === 0)
  return sign | (isUpper ? high : low)
}

/** The numbers in a half format. */
export function halvesOf(dtype: HalfDtype, numbers: ArrayLike<number>): Uint16Array<ArrayBuffer> {
  return Uint16Array.from(numbers, (x) => round(dtype, x))
}

export function widened(dtype: HalfDtype, halves: Uint16Array): Float64Array<ArrayBuffer> {
  return Float64Array.from(halves, (bits) => widen(dtype, bits))
}

/** `count` inputs of a family of `_oracle.ts`, reproducible. */
export function halfFamilyOf(
  dtype: HalfDtype,
  family: string,
  options: { count: number; length: number; seed: number },
): Uint16Array<ArrayBuffer>[] {
  return familyOf(family, (length) => new Float64Array(length), options).map((numbers) => halvesOf(dtype, numbers))
}
