/** The operators beyond the paper's, as their definitions read: over f64 vectors, and nothing of a Gram matrix. */
import type { FloatArray, Operator } from '../../ts/src/types.ts'
import type { Node } from './_oracle.ts'

type Pair = (a: Float64Array, b: Float64Array, m: number, k: number) => [number, number]

/** The same, a segment at a time. */
export function operatorOracleOf(
  op: Operator,
  inputs: readonly FloatArray[],
  segments: readonly number[],
  weights: readonly number[],
): Float64Array {
  const result = new Float64Array(inputs[0]!.length)
  let begin = 0
  for (const count of segments) {
    const parts = inputs.map((input) => input.subarray(begin, begin + count))
    result.set(operatorOracle(op, parts, weights), begin)
    begin += count
  }
  return result
}

/**
 * The result in f64, before it is rounded.
 *
 * @param weights - how much each input counts, with operators of pairs; 0 leaves it out
 */
export function operatorOracle(
  op: Operator,
  inputs: readonly FloatArray[],
  weights: readonly number[] = inputs.map(() => 1),
): Float64Array {
  const vectors = inputs.map((input) => Float64Array.from(input))
  switch (op.name) {
    case 'adasum':
      return tree(vectors, weights, damped(op.kappa))
    case 'adascale':
      return tree(vectors, weights, adascale(op.cap ?? 1))
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
    const product = kappa * dot(a, b)
    return [1 - ((m / (m + k)) * product) / dot(a, a), 1 - ((k / (m + k)) * product) / dot(b, b)]
  }

const adascale =
  (cap: number): Pair =>
  (a, b, m, k) => {
    const cosine = Math.max(cosineOf(a, b), 1 / cap - 1)
    const shift = ((m - k) / (m + k)) * cosine
    return [(1 + shift) / (1 + cosine), (1 - shift) / (1 + cosine)]
  }

function tree(vectors: readonly Float64Array[], weights: readonly number[], pair: Pair): Float64Array {
  const { vector, count } = node(vectors, weights, pair)
  return count === 0 ? vector.map(() => 0) : vector
}

/** Balanced over the order of the inputs, and weighted by their counts; a zero vector is neutral. */
function node(vectors: readonly Float64Array[], weights: readonly number[], pair: Pair): Node {
  if (vectors.length === 1) return { vector: vectors[0]!, count: weights[0]! }
  const middle = Math.ceil(vectors.length / 2)
  const [left, right] = [
    node(vectors.slice(0, middle), weights.slice(0, middle), pair),
    node(vectors.slice(middle), weights.slice(middle), pair),
  ]
  if (left.count === 0 || right.count === 0) return left.count === 0 ? right : left
  const [a, b, count] = [left.vector, right.vector, left.count + right.count]
  if (dot(a, a) === 0 || dot(b, b) === 0) return { vector: dot(a, a) === 0 ? b : a, count }
  const [c, d] = pair(a, b, left.count, right.count)
  return { vector: a.map((x, i) => c * x + d * b[i]!), count }
}

export function cosineOf(a: Float64Array, b: Float64Array): number {
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))
}

export function dot(a: Float64Array, b: Float64Array): number {
  return a.reduce((sum, x, i) => sum + x * b[i]!, 0)
}
