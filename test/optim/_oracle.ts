/** The operators in plain f64 arithmetic, by the recursion over the tree: slow, short, and independent of the library. */
import type { ReduceOp } from '../../ts/src/types.ts'

export type Vector = ArrayLike<number>

/** Count-weighted Adasum over the contiguous balanced tree, of one segment. */
export function adasumOf(vectors: readonly Vector[]): number[] {
  if (vectors.length === 1) return Array.from(vectors[0]!)
  const leftCount = Math.ceil(vectors.length / 2)
  const [a, b] = [adasumOf(vectors.slice(0, leftCount)), adasumOf(vectors.slice(leftCount))]
  const dot = (x: number[], y: number[]): number => x.reduce((total, value, i) => total + value * y[i]!, 0)
  const [ab, aa, bb] = [dot(a, b), dot(a, a), dot(b, b)]
  const rightShare = leftCount / vectors.length
  const [factorA, factorB] = [aa > 0 ? 1 - (rightShare * ab) / aa : 1, bb > 0 ? 1 - ((1 - rightShare) * ab) / bb : 1]
  return a.map((value, i) => factorA * value + factorB * b[i]!)
}

/** One op over the vectors of all ranks, segment by segment. */
export function reduceOf(op: ReduceOp, vectors: readonly Vector[], segments: readonly number[]): number[] {
  const result: number[] = []
  for (const length of segments) {
    const parts = vectors.map((vector) => Array.from(vector).slice(result.length, result.length + length))
    result.push(...segmentOf(op, parts))
  }
  return result
}

function segmentOf(op: ReduceOp, parts: number[][]): number[] {
  if (op === 'adasum') return adasumOf(parts)
  const sum = parts[0]!.map((_, i) => parts.reduce((total, part) => total + part[i]!, 0))
  return op === 'sum' ? sum : sum.map((value) => value / parts.length)
}

/** |actual - expected| / |expected|, in the L2 norm. */
export function relativeError(actual: Vector, expected: Vector): number {
  let [difference, norm] = [0, 0]
  for (let i = 0; i < expected.length; i++) {
    difference += (actual[i]! - expected[i]!) ** 2
    norm += expected[i]! ** 2
  }
  if (actual.length !== expected.length) return Infinity
  return Math.sqrt(difference) / (Math.sqrt(norm) || 1)
}

/** Normally distributed numbers from a seed. */
export function gaussian(length: number, seed: number): Float32Array {
  let state = (seed * 2654435761 + 12345) >>> 0
  const uniform = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return (state + 0.5) / 2 ** 32
  }
  for (let i = 0; i < 8; i++) uniform()
  return Float32Array.from({ length }, () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()))
}
