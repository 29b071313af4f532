/**
 * Operators that take the Gram matrix of all inputs at once, without a tree over them: from the matrix of one segment to
 * its row of statistics. Inputs that are left out are no part of the matrix that an operator sees.
 */
import { type Layout, segmentName } from '../tensor/layout.ts'
import type { GramMatrix, GramSegment } from '../types.ts'
import type { MatrixRule } from './rule.ts'
import { coefficientsOf, setStatistics, statisticsWidth } from './statistics.ts'
import { rowsOf } from './triangle.ts'
import type { ReduceWork } from './work.ts'

/** The statistics of a segment, from the upper triangle of its Gram matrix over all inputs. */
export function statisticsByMatrix(
  rule: MatrixRule,
  { layout, weights }: Pick<ReduceWork, 'layout' | 'weights'>,
  segment: number,
  triangle: Float64Array,
): Float64Array {
  const inputs = [...weights.keys()].filter((input) => weights[input] !== 0)
  const gram = rowsOf(triangle, weights.length, inputs)
  const row = new Float64Array(statisticsWidth(weights.length))
  const isFinite = gram.every((products) => products.every(Number.isFinite))
  // A function of the caller's may write to what it is given.
  const given = gram.map((products) => products.slice())
  const about = { ...segmentOf(layout, segment), inputs: [...inputs], weights: inputs.map((input) => weights[input]!) }
  const found = isFinite ? rule(given, about) : new Float64Array(inputs.length).fill(NaN)
  inputs.forEach((input, i) => (coefficientsOf(row, weights.length)[input] = found[i]!))
  const squaredNorms = gram.reduce((sum, products, i) => sum + products[i]!, 0)
  const squaredNorm = gram.reduce((sum, products, i) => sum + found[i]! * dot(found, products), 0)
  // Below zero there is only rounding; NaN stays what it is.
  const orthogonality = squaredNorms === 0 ? 1 : squaredNorm < 0 ? 0 : squaredNorm / squaredNorms
  setStatistics(row, orthogonality, isFinite ? squaredNorms : NaN)
  return row
}

function segmentOf(layout: Layout, segment: number): Pick<GramSegment, 'name' | 'elementCount'> {
  return { name: segmentName(layout, segment), elementCount: layout.segmentElementCounts[segment]! }
}

/** Below this part of the terms that it is a sum of, a number is rounding. */
const NOISE = 1e-14

/**
 * AdaCons (arXiv 2411.03742), without its momentum: each direction g_i / |g_i| as much as it agrees with the mean, the
 * weights adding up to 1. No step if the directions do not agree with the mean taken together.
 */
export const adacons: MatrixRule = (gram) => {
  const norms = gram.map((products, i) => Math.sqrt(products[i]!))
  const alphas = gram.map((products, i) => (norms[i] === 0 ? 0 : sumOf(products) / norms[i]!))
  const [total, size] = [sumOf(alphas), sumOf(alphas.map(Math.abs))]
  if (!(total > LEAST_CONSENSUS * size)) return new Float64Array(gram.length)
  return Float64Array.from(alphas, (alpha, i) => (alpha === 0 ? 0 : alpha / total / norms[i]!))
}

const LEAST_CONSENSUS = 1e-6

/**
 * Gradient agreement filtering (arXiv 2412.18052): in the order of the inputs, each whose cosine distance from the result
 * so far is `tau` at most is averaged with that. No step if none agrees with another; a single one is taken as it is.
 */
export function agreementFilter(tau: number): MatrixRule {
  return (gram) => {
    const nonZero = [...gram.keys()].filter((i) => gram[i]![i]! > 0)
    const [first, ...others] = nonZero
    const result = new Float64Array(gram.length)
    if (first === undefined) return result
    result[first] = 1
    let agreed = nonZero.length === 1
    for (const input of others) {
      const products = gram[input]!
      if (!(1 - cosine(dot(result, products), squaredNormOf(result, gram), products[input]!) <= tau)) continue
      result.forEach((c, i) => (result[i] = c / 2))
      result[input] = 0.5
      agreed = true
    }
    return agreed ? result : result.fill(0)
  }
}

/** |sum c_i g_i|^2, or 0 if what is left of its terms is rounding. */
function squaredNormOf(coefficients: Float64Array, gram: GramMatrix): number {
  let [squaredNorm, terms] = [0, 0]
  gram.forEach((products, i) => {
    squaredNorm += coefficients[i]! * dot(coefficients, products)
    terms += coefficients[i]! ** 2 * products[i]!
  })
  return squaredNorm < NOISE * terms ? 0 : squaredNorm
}

/** Exactly 1 for equal vectors, within [-1, 1], and NaN for a zero vector, which agrees with none. */
function cosine(product: number, a: number, b: number): number {
  const [large, small] = a > b ? [a, b] : [b, a]
  return Math.max(-1, Math.min(1, (product / large) * (Math.sqrt(large) / Math.sqrt(small))))
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!
  return sum
}

function sumOf(numbers: ArrayLike<number>): number {
  let sum = 0
  for (let i = 0; i < numbers.length; i++) sum += numbers[i]!
  return sum
}
