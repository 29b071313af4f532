/** Inputs in the six families on which the numerics were studied, as crates/adasum-core/tests/all/common/inputs.rs has them. */
import { ROUNDED } from '../../golden/_inputs.ts'
import { mulberry32, type Random } from '../../transport/_random.ts'

export type Dtype = 'f32' | 'f16' | 'bf16'
export type Vector = Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer>

export const SIGNIFICAND_BITS: Readonly<Record<Dtype, number>> = { f32: 24, f16: 11, bf16: 8 }

/** An element of vector i from the common one and its own noise; `smallest` is the noise of vectors that cancel most. */
type Family = (common: number, noise: number, i: number, smallest: number) => number

const sign = (i: number): number => (i % 2 === 0 ? 1 : -1)

export const FAMILIES = {
  independent: (_, noise) => noise,
  'large common part': (common, noise) => 10 * common + noise,
  'spread norms': (_, noise, i) => 10 ** (((i * 5) % 9) - 4) * noise,
  'near parallel': (common, noise) => common + 1e-3 * noise,
  alternating: (common, noise, i) => sign(i) * common + 0.1 * noise,
  'nearly cancelling': (common, noise, i, smallest) => sign(i) * common + smallest * noise,
} as const satisfies Record<string, Family>

export type FamilyName = keyof typeof FAMILIES

export const FAMILY_NAMES = Object.keys(FAMILIES) as FamilyName[]

function normals(random: Random, length: number): Float64Array {
  const vector = new Float64Array(length)
  for (let e = 0; e < length; e++) vector[e] = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
  return vector
}

/** k vectors, as the dtype can tell them apart; the same in every run. */
export function inputsOf(family: FamilyName, dtype: Dtype, k: number, length: number, seed = k): Vector[] {
  const random = mulberry32(1000 * FAMILY_NAMES.indexOf(family) + seed)
  const smallest = Math.max(1e-4, 16 * 0.5 ** SIGNIFICAND_BITS[dtype])
  const common = normals(random, length)
  return Array.from({ length: k }, (_, i) => {
    const wide = normals(random, length).map((noise, e) => FAMILIES[family](common[e]!, noise, i, smallest))
    return ROUNDED[dtype]!(wide) as Vector
  })
}

/** |GPU - CPU| / |CPU| of a result, as docs/gpu.md promises it. */
export function tolerance(family: FamilyName, result: Dtype): number {
  return (family === 'nearly cancelling' ? 4 : 1) * 0.5 ** SIGNIFICAND_BITS[result]
}

const scratch = new DataView(new ArrayBuffer(4))

/** The numbers that a vector stands for. */
export function widened(dtype: Dtype, vector: ArrayLike<number>): Float64Array {
  return Float64Array.from(vector, (x) => {
    if (dtype === 'f32') return x
    if (dtype === 'bf16') {
      scratch.setUint32(0, x << 16)
      return scratch.getFloat32(0)
    }
    const [magnitude, positive] = [x & 0x7fff, x < 0x8000]
    const [exponent, fraction] = [magnitude >> 10, (magnitude & 0x3ff) / 1024]
    const finite = exponent === 0 ? fraction * 2 ** -14 : (1 + fraction) * 2 ** (exponent - 15)
    const absolute = exponent < 31 ? finite : fraction === 0 ? Infinity : NaN
    return positive ? absolute : -absolute
  })
}

/** |ours - theirs| / |theirs| */
export function relativeError(dtype: Dtype, ours: ArrayLike<number>, theirs: ArrayLike<number>): number {
  const [a, b] = [widened(dtype, ours), widened(dtype, theirs)]
  let [difference, norm] = [0, 0]
  for (let i = 0; i < b.length; i++) {
    difference += (a[i]! - b[i]!) ** 2
    norm += b[i]! ** 2
  }
  return norm === 0 ? difference : Math.sqrt(difference / norm)
}
