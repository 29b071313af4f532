/** The operators beyond the paper's, as their definitions read: over f64 vectors, and nothing of a Gram matrix. */
import type { FloatArray, Operator } from '../../ts/src/types.ts'

type Pair = (a: Float64Array, b: Float64Array, m: number, k: number) => [number, number]

/** The result in f64, before it is rounded. */
export function operatorOracle(op: Operator, inputs: readonly FloatArray[]): Float64Array {
  const vectors = inputs.map((input) => Float64Array.from(input))
  switch (op.name) {
    case 'adasum':
      return tree(vectors, damped(op.kappa))
    case 'adascale':
      return tree(vectors, adascale(op.cap ?? 1))
    case 'adacons':
      return adacons(vectors)
    case 'gaf':
      return agreementFilter(vectors, op.tau)
    case 'custom':
      throw new Error('A function of the test is its own definition.')
  }
}

/** Directions, weighted by how long the mean is along each. */
function adacons(vectors: readonly Float64Array[]): Float64Array {
  const mean = vectors[0]!.map((_, e) => vectors.reduce((sum, vector) => sum + vector[e]!, 0) / vectors.length)
  const norms = vectors.map((vector) => Math.sqrt(dot(vector, vector)))
  const alphas = vectors.map((vector, i) => dot(vector, mean) / norms[i]!)
  const total = alphas.reduce((sum, alpha) => sum + alpha, 0)
  const directions = vectors.map((vector, i) => vector.map((x) => x / norms[i]!))
  return mean.map((_, e) => directions.reduce((sum, direction, i) => sum + (alphas[i]! / total) * direction[e]!, 0))
}

function agreementFilter([first, ...others]: readonly Float64Array[], tau: number): Float64Array {
  let [result, agreed] = [first!, others.length === 0]
  for (const vector of others) {
    if (1 - cosineOf(result, vector) > tau) continue
    result = result.map((x, e) => (x + vector[e]!) / 2)
    agreed = true
  }
  return agreed ? result : result.map(() => 0)
}

const damped =
  (kappa: number): Pair =>
  (a, b, m, k) => {
    const product = (kappa * dot(a, b)) / (m + k)
    return [1 - (m * product) / dot(a, a), 1 - (k * product) / dot(b, b)]
  }

const adascale =
  (cap: number): Pair =>
  (a, b, m, k) => {
    const cosine = Math.max(cosineOf(a, b), 1 / cap - 1)
    const shift = ((m - k) / (m + k)) * cosine
    return [(1 + shift) / (1 + cosine), (1 - shift) / (1 + cosine)]
  }

/** Balanced over the order of the inputs; a zero vector is neutral. */
function tree(vectors: readonly Float64Array[], pair: Pair): Float64Array {
  if (vectors.length === 1) return vectors[0]!
  const m = Math.ceil(vectors.length / 2)
  const [a, b] = [tree(vectors.slice(0, m), pair), tree(vectors.slice(m), pair)]
  if (dot(a, a) === 0 || dot(b, b) === 0) return dot(a, a) === 0 ? b : a
  const [c, d] = pair(a, b, m, vectors.length - m)
  return a.map((x, i) => c * x + d * b[i]!)
}

export function cosineOf(a: Float64Array, b: Float64Array): number {
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))
}

export function dot(a: Float64Array, b: Float64Array): number {
  return a.reduce((sum, x, i) => sum + x * b[i]!, 0)
}
