/** Weights: how many samples, or vectors, an input of a reduction stands for. An input of weight 0 takes no part. */
import { AdasumError, inspect } from '../errors.ts'

/** Above it, not every whole number is a double. The kernels take sums of as many weights as a world has ranks. */
const LARGEST_WEIGHT = 2 ** 53

export function isWeight(value: number): boolean {
  return value >= 0 && value <= LARGEST_WEIGHT
}

/**
 * @param what - its name, for a message
 * @throws AdasumError ERR_ARGUMENT for what is no number from 0 to 2^53
 */
export function checkWeight(value: unknown, what: string): number {
  // Minus zero becomes zero.
  if (typeof value === 'number' && isWeight(value)) return value + 0
  throw new AdasumError(
    'ERR_ARGUMENT',
    `${what} is ${inspect(value)}; it must be a number from 0 to 2^53: how many samples the data stands for.`,
  )
}

/**
 * The same weights, but with 1 in place of each if all that are not 0 are equal: so equal weights give the bits that none
 * would give, even where their sums round.
 */
export function countsIfEqual(weights: Float64Array): Float64Array {
  let first = 0
  for (const weight of weights) {
    if (weight !== 0 && first !== 0 && weight !== first) return weights
    if (weight !== 0) first = weight
  }
  return first === 0 || first === 1 ? weights : weights.map((weight) => (weight === 0 ? 0 : 1))
}
