/**
 * The definition of the operators, written as plainly as it can be: pairwise recursion over f64 vectors. Slow, and with
 * nothing in common with the kernels that are tested against it.
 */
import type { FloatArray, ReduceOp } from '../../ts/src/types.ts'
import { type Random, mulberry32 } from '../transport/_random.ts'

/**
 * The result in f64, before it is rounded to the dtype of the inputs.
 *
 * @param weights - how much each input counts; 0 leaves it out
 */
export function oracle(
  op: ReduceOp,
  inputs: readonly FloatArray[],
  segments?: readonly number[],
  weights: readonly number[] = inputs.map(() => 1),
): Float64Array {
  const length = inputs[0]!.length
  const result = new Float64Array(length)
  let begin = 0
  for (const count of segments ?? [length]) {
    const parts = inputs.map((input) => Float64Array.from(input.subarray(begin, begin + count)))
    result.set(op === 'adasum' ? adasumOf(parts, weights) : linear(op, parts, weights), begin)
    begin += count
  }
  return result
}

function linear(op: 'sum' | 'average', parts: readonly Float64Array[], weights: readonly number[]): Float64Array {
  const total = op === 'sum' ? 1 : weights.reduce((sum, weight) => sum + weight, 0)
  const term = (part: Float64Array, input: number, i: number): number =>
    weights[input] === 0 ? 0 : ((op === 'sum' ? 1 : weights[input]!) / total) * part[i]!
  return parts[0]!.map((_, i) => parts.reduce((sum, part, input) => sum + term(part, input, i), 0))
}

/** A vector, and how many ranks' gradients, or samples, it stands for; 0: it is left out. */
export interface Node {
  vector: Float64Array
  count: number
}

function adasumOf(parts: readonly Float64Array[], weights: readonly number[]): Float64Array {
  const { vector, count } = adasumOfNodes(parts.map((vector, input) => ({ vector, count: weights[input]! })))
  return count === 0 ? vector.map(() => 0) : vector
}

/** The count-weighted tree over any nodes. */
export function adasumOfNodes(nodes: readonly Node[]): Node {
  if (nodes.length === 1) return nodes[0]!
  const middle = Math.ceil(nodes.length / 2)
  const [left, right] = [nodes.slice(0, middle), nodes.slice(middle)]
  const [a, b] = [adasumOfNodes(left), adasumOfNodes(right)]
  const count = a.count + b.count
  if (a.count === 0 || b.count === 0) return a.count === 0 ? b : a
  const [aa, bb] = [dot(a.vector, a.vector), dot(b.vector, b.vector)]
  // A zero vector is neutral, and so is what rounding leaves of one.
  if (aa <= NOISE * scaleOf(left)) return { vector: b.vector, count }
  if (bb <= NOISE * scaleOf(right)) return { vector: a.vector, count }
  const ab = dot(a.vector, b.vector)
  const [ca, cb] = [1 - (ab / aa) * (a.count / count), 1 - (ab / bb) * (b.count / count)]
  return { vector: a.vector.map((x, i) => ca * x + cb * b.vector[i]!), count }
}

const NOISE = 1e-14

function scaleOf(nodes: readonly Node[]): number {
  return nodes.length === 1 ? 0 : Math.max(...nodes.map(({ vector }) => dot(vector, vector)))
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!
  return sum
}

/** |got - want| / |want|, a segment at a time: the largest. */
export function relativeError(
  got: FloatArray,
  want: Float64Array,
  segments: readonly number[] = [want.length],
): number {
  let [begin, worst] = [0, 0]
  for (const count of segments) {
    const difference = want.subarray(begin, begin + count).map((x, i) => x - got[begin + i]!)
    const norm = Math.sqrt(dot(want.subarray(begin, begin + count), want.subarray(begin, begin + count)))
    if (norm > 0) worst = Math.max(worst, Math.sqrt(dot(difference, difference)) / norm)
    else worst = Math.max(worst, ...difference.map(Math.abs))
    begin += count
  }
  return worst
}

type Family = (random: Random, length: number, input: number, common: Float64Array) => Float64Array

const noise = (random: Random, length: number, scale = 1): Float64Array =>
  Float64Array.from({ length }, () => scale * (random() + random() + random() - 1.5))
const near = (common: Float64Array, factor: number, other: Float64Array): Float64Array =>
  common.map((x, i) => factor * x + other[i]!)

/** Families of gradients: from unrelated ones to those that cancel but for a little noise. */
export const FAMILIES: Record<string, Family> = {
  independent: (random, length) => noise(random, length),
  'a large common part': (random, length, _, common) => near(common, 3, noise(random, length)),
  'norms from 1e-4 to 1e4': (random, length, input) => noise(random, length, 10 ** ((input % 9) - 4)),
  'near parallel': (random, length, _, common) => near(common, 1, noise(random, length, 1e-4)),
  'alternating sign, 10 % noise': (random, length, input, common) =>
    near(common, input % 2 ? -1 : 1, noise(random, length, 0.1)),
  'alternating sign, 1e-4 noise': (random, length, input, common) =>
    near(common, input % 2 ? -1 : 1, noise(random, length, 1e-4)),
  'alternating sign, no noise': (_, __, input, common) => common.map((x) => (input % 2 ? -x : x)),
}

/** `count` inputs of a family, reproducible. */
export function familyOf<A extends FloatArray>(
  family: string,
  make: (length: number) => A,
  { count, length, seed }: { count: number; length: number; seed: number },
): A[] {
  const random = mulberry32(seed)
  const common = noise(random, length)
  return Array.from({ length: count }, (_, input) => {
    const array = make(length)
    array.set(FAMILIES[family]!(random, length, input, common))
    return array
  })
}
