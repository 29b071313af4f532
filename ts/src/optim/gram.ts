/**
 * What Gram matrices say about gradients: how much they agree, and which of them do. The matrices are those that
 * reductions report with `gram: true`. Inputs whose squared norm is not a finite number take no part in anything here: so
 * reductions report those that they have left out.
 *
 * Nothing here is more than additions, multiplications, divisions and square roots in a fixed order, so that ranks with
 * the same matrix get the same bits.
 */
import { AdasumError, inspect } from '../errors.ts'
import { kindOf, readNumbers } from '../tensor/check.ts'
import { checkWeight } from '../tensor/weights.ts'
import type { GramMatrix } from '../types.ts'

/** The inputs of a matrix that take part, and how much each of them counts. */
export interface Inputs {
  /** The matrix, checked: n rows of n numbers. */
  readonly gram: GramMatrix
  readonly indices: readonly number[]
  /** One number an index. */
  readonly weights: readonly number[]
}

/** A matrix of more inputs than this is a mistake. */
const MOST_INPUTS = 1 << 16

/**
 * @param given - how much each input counts; default: each once. Those of weight 0 take no part
 * @throws AdasumError ERR_ARGUMENT for what is no matrix of numbers, or no list of as many weights
 */
export function readInputs(given: GramMatrix, weights?: ArrayLike<number>): Inputs {
  const gram = readGram(given)
  const counts = weights === undefined ? gram.map(() => 1) : readWeights(weights, gram.length)
  const indices = [...gram.keys()].filter((i) => counts[i]! > 0 && Number.isFinite(gram[i]![i]!))
  for (const i of indices)
    for (const j of indices)
      if (!Number.isFinite(gram[i]![j]!))
        throw new AdasumError(
          'ERR_ARGUMENT',
          `gram[${i}][${j}] is ${gram[i]![j]}, and gram[${i}][${i}] and gram[${j}][${j}] are finite. Pass the dot products of vectors.`,
        )
  return { gram, indices, weights: indices.map((i) => counts[i]!) }
}

function readGram(given: unknown): Float64Array[] {
  if (!Array.isArray(given) || given.length === 0)
    throw new AdasumError(
      'ERR_ARGUMENT',
      `gram must be a list of n rows of n numbers; got ${Array.isArray(given) ? 'an empty list' : kindOf(given)}. Reductions ` +
        'report it with gram: true, but not beyond 16 ranks, with rvh or a hierarchy.',
    )
  const rows = Array.from(given, (row: unknown, i) => readNumbers(row, MOST_INPUTS, `gram[${i}]`))
  rows.forEach((row, i) => {
    if (row.length !== rows.length)
      throw new AdasumError(
        'ERR_ARGUMENT',
        `gram[${i}] has ${row.length} numbers for ${rows.length} rows. Pass a square matrix.`,
      )
    const wrong = row.findIndex((product) => typeof product !== 'number')
    if (wrong >= 0)
      throw new AdasumError(
        'ERR_ARGUMENT',
        `gram[${i}][${wrong}] is ${inspect(row[wrong])}, ${kindOf(row[wrong])}; it must be a number.`,
      )
    if (row[i]! < 0)
      throw new AdasumError('ERR_ARGUMENT', `gram[${i}][${i}] is ${row[i]}, but it is a squared norm. Pass 0 or more.`)
  })
  return rows.map((row) => Float64Array.from(row))
}

function readWeights(given: ArrayLike<number>, count: number): number[] {
  const weights = readNumbers(given, MOST_INPUTS, 'weights')
  if (weights.length === count) return weights.map((weight, i) => checkWeight(weight, `weights[${i}]`))
  throw new AdasumError(
    'ERR_ARGUMENT',
    `weights has ${weights.length} numbers for ${count} inputs. Give one number an input.`,
  )
}

/**
 * The Gram matrix of whole gradients, from those of their segments: the sum.
 *
 * @param grams - one or more matrices of the same n inputs
 * @returns n rows of n numbers
 * @throws AdasumError ERR_ARGUMENT for no matrix, and for matrices that differ in size
 */
export function sumOfGrams(grams: readonly GramMatrix[]): Float64Array[] {
  if (!Array.isArray(grams) || grams.length === 0)
    throw new AdasumError('ERR_ARGUMENT', 'grams must be a list of at least one Gram matrix.')
  const [total, ...others] = Array.from(grams as readonly unknown[], readGram)
  for (const [at, gram] of others.entries()) {
    if (gram.length !== total!.length)
      throw new AdasumError(
        'ERR_ARGUMENT',
        `grams[${at + 1}] is of ${gram.length} inputs, grams[0] of ${total!.length}. Pass matrices of the same inputs.`,
      )
    gram.forEach((row, i) => row.forEach((product, j) => (total![i]![j]! += product)))
  }
  return total!
}

/**
 * |sum c_i g_i|^2 / sum |g_i|^2: what a reduction reports as `orthogonality`, from its matrix and coefficients; or of
 * several segments together, if their coefficients are the same. With those of Adasum it is 1 for orthogonal inputs and 1/n for n
 * identical ones.
 *
 * @param gram - n rows of n numbers
 * @param coefficients - n finite numbers; those of inputs without a finite norm do not matter
 * @returns 0 or more; 1 if all inputs are zero, or none takes part
 * @throws AdasumError ERR_ARGUMENT
 */
export function orthogonality(gram: GramMatrix, coefficients: ArrayLike<number>): number {
  const inputs = readInputs(gram)
  const factors = readNumbers(coefficients, MOST_INPUTS, 'coefficients')
  if (factors.length !== gram.length)
    throw new AdasumError(
      'ERR_ARGUMENT',
      `coefficients has ${factors.length} numbers for ${gram.length} inputs. Give one number an input.`,
    )
  const wrong = inputs.indices.find((i) => !Number.isFinite(factors[i]))
  if (wrong !== undefined)
    throw new AdasumError(
      'ERR_ARGUMENT',
      `coefficients[${wrong}] is ${inspect(factors[wrong])}; it must be a finite number.`,
    )
  const squaredNorms = trace(inputs)
  return squaredNorms === 0 ? 1 : squaredNorm(inputs, factors) / squaredNorms
}

/**
 * Gradient diversity (arXiv 1706.05699), sum |g_i|^2 / |sum g_i|^2: 1 for orthogonal inputs, 1/n for n identical ones, more
 * than 1 for inputs that oppose each other.
 *
 * @param gram - n rows of n numbers
 * @returns more than 0; Infinity if the sum is zero and the inputs are not; 1 if all inputs are zero, or none takes part
 * @throws AdasumError ERR_ARGUMENT
 */
export function diversity(gram: GramMatrix): number {
  const inputs = readInputs(gram)
  const squaredNorms = trace(inputs)
  if (squaredNorms === 0) return 1
  return squaredNorms / squaredNorm(inputs, new Float64Array(gram.length).fill(1))
}

/**
 * The cosines of the angles between all inputs, K_ij / sqrt(K_ii K_jj), from -1 to 1.
 *
 * @param gram - n rows of n numbers
 * @returns n rows of n numbers. A zero vector has cosine 0 with everything; rows and columns of inputs that take no part are NaN
 * @throws AdasumError ERR_ARGUMENT
 */
export function cosineMatrix(gram: GramMatrix): Float64Array[] {
  const { gram: products, indices } = readInputs(gram)
  const cosines = products.map(() => new Float64Array(products.length).fill(NaN))
  for (const i of indices)
    for (const j of indices) cosines[i]![j] = cosine(products[i]![j]!, products[i]![i]!, products[j]![j]!)
  return cosines
}

/** By roots of each, since a product of squared norms may be too large or too small for a double. */
function cosine(product: number, a: number, b: number): number {
  if (a === 0 || b === 0) return 0
  const [large, small] = a > b ? [a, b] : [b, a]
  return Math.max(-1, Math.min(1, (product / large) * (Math.sqrt(large) / Math.sqrt(small))))
}

function trace({ gram, indices }: Inputs): number {
  return indices.reduce((sum, i) => sum + gram[i]![i]!, 0)
}

/** |sum c_i g_i|^2; below zero there is only rounding. */
function squaredNorm({ gram, indices }: Inputs, factors: ArrayLike<number>): number {
  let sum = 0
  for (const i of indices) for (const j of indices) sum += factors[i]! * factors[j]! * gram[i]![j]!
  return Math.max(0, sum)
}
