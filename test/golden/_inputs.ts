/** The recipe of README.md: inputs that every language makes with the same bits, and their hash. */
import { mulberry32, type Random } from '../transport/_random.ts'

export const SEGMENTS = [1, 0, 2047, 2048, 2049, 3828] as const
const LENGTH = SEGMENTS.reduce((sum: number, count) => sum + count, 0)
const NORMS = [1e-4, 1e-3, 1e-2, 0.1, 1, 10, 100, 1000, 1e4] as const

/** Element of input i from the common element and its own noise. */
type Family = (common: number, noise: number, i: number) => number
const sign = (i: number): number => (i % 2 === 0 ? 1 : -1)

/** The order is that of the seeds. */
export const FAMILIES: Record<string, Family> = {
  independent: (_, noise) => noise,
  'large-common-part': (common, noise) => 10 * common + noise,
  'spread-norms': (_, noise, i) => NORMS[(5 * i) % 9]! * noise,
  'near-parallel': (common, noise) => common + 1e-3 * noise,
  alternating: (common, noise, i) => sign(i) * common + 0.1 * noise,
  'nearly-cancelling': (common, noise, i) => sign(i) * common + 1e-4 * noise,
}

function noiseOf(random: Random): Float64Array {
  // An initializer of from() would be called in the same order; the loop says so.
  const vector = new Float64Array(LENGTH)
  for (let e = 0; e < LENGTH; e++) vector[e] = (random() + random() + random() - 1.5) * 1.9
  return vector
}

export function inputsOf(family: string, k: number): Float64Array[] {
  const random = mulberry32(100 * Object.keys(FAMILIES).indexOf(family) + k)
  const common = noiseOf(random)
  return Array.from({ length: k }, (_, i) => noiseOf(random).map((noise, e) => FAMILIES[family]!(common[e]!, noise, i)))
}

/** A half format: bits of the fraction, and the exponent of the smallest normal number. */
interface HalfFormat {
  fractionBits: number
  smallestExponent: number
}
const F16: HalfFormat = { fractionBits: 10, smallestExponent: -14 }
const BF16: HalfFormat = { fractionBits: 7, smallestExponent: -126 }

/** The bits of the nearest number of a half format, for numbers that do not overflow. */
function halfBits(x: number, { fractionBits, smallestExponent }: HalfFormat): number {
  const magnitude = Math.abs(x)
  let [exponent, power] = [0, 1]
  while (magnitude >= 2 * power) [exponent, power] = [exponent + 1, 2 * power]
  while (magnitude < power && exponent > smallestExponent) [exponent, power] = [exponent - 1, power / 2]
  const inLastBits = (magnitude / power) * (1 << fractionBits)
  const below = Math.floor(inLastBits)
  const excess = inLastBits - below
  const rounded = excess > 0.5 || (excess === 0.5 && below % 2 === 1) ? below + 1 : below
  // A normal number brings the bit that counts its exponent up by one; so does a fraction that was rounded up to 2.
  const bits = ((exponent - smallestExponent) << fractionBits) + rounded
  return x < 0 || Object.is(x, -0) ? bits | 0x8000 : bits
}

const halves = (vector: Float64Array, format: HalfFormat): Uint16Array =>
  Uint16Array.from(vector, (x) => halfBits(x, format))

/** Arrays of a dtype; half formats as bits. */
export const ROUNDED: Record<string, (vector: Float64Array) => Float32Array | Float64Array | Uint16Array> = {
  f32: (vector) => Float32Array.from(vector),
  f64: (vector) => vector,
  f16: (vector) => halves(vector, F16),
  bf16: (vector) => halves(vector, BF16),
}

/** FNV-1a, 64 bits in two halves: multiplication by 2^40 + 0x1b3 stays below 2^53. */
export function fnv1a(parts: readonly Uint8Array[]): string {
  let [high, low] = [0xcbf29ce4, 0x84222325]
  for (const part of parts) {
    for (const byte of part) {
      low = (low ^ byte) >>> 0
      const product = low * 0x1b3
      high = (high * 0x1b3 + Math.floor(product / 2 ** 32) + low * 256) % 2 ** 32
      low = product % 2 ** 32
    }
  }
  return [high, low].map((half) => half.toString(16).padStart(8, '0')).join('')
}
