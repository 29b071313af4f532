/**
 * How noisy gradients are, from their Gram matrix, and what follows for the number of ranks and the learning rate.
 *
 * Each gradient is taken for an independent, unbiased estimate of the same mean gradient G, with a variance in inverse
 * proportion to its samples (An Empirical Model of Large-Batch Training, arXiv 1812.06162). Two sums over pairs of inputs
 * then estimate the variance and |G|^2 without bias, with weights w and W = sum w_i:
 *
 *     variance = sum_{i<j} w_i w_j |g_i - g_j|^2 / (W (n - 1))    |G|^2 = sum_{i<j} w_i w_j g_i.g_j / sum_{i<j} w_i w_j
 *
 * Without weights these are (tr K - 1'K1/n) / (n - 1) and 1'K1/n^2 - variance/n, but lose no digits where gradients are
 * nearly equal.
 */
import { AdasumError, inspect, reading } from '../errors.ts'
import { wholeNumber } from '../tensor/check.ts'
import type { GramMatrix } from '../types.ts'
import { type Inputs, readInputs } from './gram.ts'

/** What one Gram matrix says about noise. */
export interface GradientNoise {
  /**
   * The variance of a gradient of one sample, added up over all elements: 0 or more. Without weights: of one input's
   * whole batch.
   */
  readonly variance: number
  /** An estimate of the squared norm of the mean gradient. It is below zero at times, where noise is all there is. */
  readonly squaredMean: number
  /** How many inputs take part. */
  readonly inputCount: number
  /** The mean of their weights: samples of an input. Without weights 1. */
  readonly localBatch: number
}

/**
 * Estimates variance and mean gradient from one step. Such an estimate is rough, above all of few inputs: a NoiseMeter
 * takes the mean over steps.
 *
 * @param gram - n rows of n numbers, of a segment or of all together (`sumOfGrams`), below 1e300
 * @param weights - how many samples each input is the mean of, n numbers from 0 to 2^53. Default: 1 each
 * @returns undefined if fewer than two inputs take part, or if weights differ so much that only one counts
 * @throws AdasumError ERR_ARGUMENT for what is no such matrix or list
 */
export function gradientNoise(gram: GramMatrix, weights?: ArrayLike<number>): GradientNoise | undefined {
  const inputs = readInputs(gram, weights)
  const inputCount = inputs.indices.length
  const total = inputs.weights.reduce((sum, weight) => sum + weight, 0)
  const { pairs, products, distances } = sumOverPairs(inputs, total)
  if (!(pairs > 0)) return undefined
  return {
    variance: (distances * total) / (inputCount - 1),
    squaredMean: products / pairs,
    inputCount,
    localBatch: total / inputCount,
  }
}

/** Sums over pairs, weighted by w_i w_j / W^2: of 1, of dot products, and of squared distances. */
function sumOverPairs({ gram, indices, weights }: Inputs, total: number) {
  let [pairs, products, distances] = [0, 0, 0]
  for (const [a, i] of indices.entries())
    for (let b = a + 1; b < indices.length; b++) {
      const j = indices[b]!
      const share = (weights[a]! / total) * (weights[b]! / total)
      pairs += share
      products += share * gram[i]![j]!
      // Below zero there is only rounding.
      distances += share * Math.max(0, gram[i]![i]! - 2 * gram[i]![j]! + gram[j]![j]!)
    }
  return { pairs, products, distances }
}

/**
 * The noise scale, variance / |mean gradient|^2: the batch at which noise is as large as what it hides. Far below it a
 * larger batch saves steps in proportion; far above it saves none.
 *
 * @returns in samples, or without weights in batches of one input. Infinity where no mean gradient shows; 0 without any variance
 * @throws AdasumError ERR_ARGUMENT for what is no noise, such as the undefined of fewer than two inputs
 */
export function noiseScale(noise: Pick<GradientNoise, 'variance' | 'squaredMean'>): number {
  const { variance, squaredMean } = reading('noise', () => ({ ...noise }))
  for (const [name, value] of Object.entries({ variance, squaredMean }))
    if (!Number.isFinite(value))
      throw new AdasumError('ERR_ARGUMENT', `noise.${name} is ${inspect(value)}; it must be a finite number.`)
  if (variance === 0) return 0
  return squaredMean > 0 ? variance / squaredMean : Infinity
}

/**
 * AdaScale's gain (arXiv 2007.05105): by how much the rate of an average over ranks may be raised above that of one rank.
 * It is n (1 + x) / (1 + n x), with x = 1 / scale.
 *
 * @param scale - the noise scale in batches of one rank, 0 to Infinity
 * @param rankCount - ranks whose gradients are averaged
 * @returns from 1 (no noise) to `rankCount` (noise alone)
 * @throws AdasumError ERR_ARGUMENT
 */
export function adascaleGain(scale: number, rankCount: number): number {
  const [x, n] = checkRatio(scale, rankCount)
  // The same as in the comment above, and exact at both ends.
  return 1 + (n - 1) / (1 + n * x)
}

/**
 * How long an Adasum step is, in steps of the average: n (1 + x/2) / (1 + n x/2), with x = 1 / scale. This is a
 * prediction, for equally noisy, independent gradients of very many elements, and a number of ranks that is a power of two.
 *
 * @param scale - the noise scale in batches of one rank, 0 to Infinity
 * @param rankCount - ranks whose gradients are combined
 * @returns from 1 (Adasum is the average) to `rankCount` (it is the sum)
 * @throws AdasumError ERR_ARGUMENT
 */
export function adasumFactor(scale: number, rankCount: number): number {
  const [x, n] = checkRatio(scale, rankCount)
  return 1 + (n - 1) / (1 + (n * x) / 2)
}

function checkRatio(scale: unknown, rankCount: unknown): [x: number, n: number] {
  if (!(typeof scale === 'number' && scale >= 0))
    throw new AdasumError('ERR_ARGUMENT', `scale is ${inspect(scale)}; it must be a number of at least 0, or Infinity.`)
  return [1 / scale, wholeNumber(rankCount, 'rankCount', { least: 1 })]
}
