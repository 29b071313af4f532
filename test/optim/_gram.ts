/** Gram matrices of plain vectors, and gradients whose noise is known. */
import type { GramMatrix } from '../../ts/src/optim/index.ts'
import { gaussian } from './_oracle.ts'

export type Vector = ArrayLike<number>

export function dot(a: Vector, b: Vector): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!
  return sum
}

export function gramOf(vectors: readonly Vector[]): Float64Array[] {
  return vectors.map((a) => Float64Array.from(vectors, (b) => dot(a, b)))
}

/** sum c_i g_i */
export function combined(vectors: readonly Vector[], coefficients: ArrayLike<number>): number[] {
  return Array.from(vectors[0]!, (_, at) => vectors.reduce((sum, vector, i) => sum + coefficients[i]! * vector[at]!, 0))
}

/** Every number times a factor. */
export function scaled(gram: GramMatrix, factor: number): Float64Array[] {
  return gram.map((row) => row.map((product) => product * factor))
}

/**
 * Gradients G + noise, where |G|^2 is 1 and the variance of one sample is `variance`, both up to what chance does.
 *
 * @param samples - how many samples each gradient is the mean of
 */
export function noisyGradients(samples: readonly number[], variance: number, length: number, seed: number): Vector[] {
  const mean = gaussian(length, 1)
  const norm = Math.sqrt(dot(mean, mean))
  return samples.map((count, i) => {
    const noise = gaussian(length, 1000 * seed + i + 2)
    const deviation = Math.sqrt(variance / count / length)
    return Float64Array.from(mean, (value, at) => value / norm + deviation * noise[at]!)
  })
}
