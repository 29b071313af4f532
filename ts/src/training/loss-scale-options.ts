/** What a loss scale may be: its options, their defaults and bounds. */
import { AdasumError, inspect } from '../errors.ts'
import { kindOf, readOptions, wholeNumber } from '../tensor/check.ts'
import type { OptionNames } from '../types.ts'

/** Options of a scale that adapts itself. The defaults are those of PyTorch's GradScaler, which knows no bounds. */
export interface LossScaleOptions {
  /** A power of two. Default 65,536. */
  readonly initialScale?: number
  /** What the scale is multiplied by after `growthInterval` good steps: a power of two of at least 2. Default 2. */
  readonly growthFactor?: number
  /** What the scale is multiplied by after an overflow: a power of two of at most 1/2. Default 1/2. */
  readonly backoffFactor?: number
  /** Steps without an overflow after which the scale grows. Default 2,000. */
  readonly growthInterval?: number
  /** The scale never falls below it: a power of two. Default 2^-100. */
  readonly minScale?: number
  /** The scale never grows above it: a power of two. Default 2^100. */
  readonly maxScale?: number
}

/** `dynamic`: a scale with all defaults. A number, which must be a power of two: a scale that stays. */
export type LossScale = 'dynamic' | number | LossScaleOptions

/** The options after their checks, with defaults for those that were left out. */
export type LossScaleSettings = Required<LossScaleOptions>

const OPTIONS: OptionNames<LossScaleOptions> = {
  initialScale: true,
  growthFactor: true,
  backoffFactor: true,
  growthInterval: true,
  minScale: true,
  maxScale: true,
}

/** Losses, and counts of batches, times a scale within these bounds are far inside the range of f32. */
const [LEAST, MOST] = [2 ** -100, 2 ** 100]

/** @throws AdasumError ERR_ARGUMENT */
export function checkLossScale(given: unknown): LossScaleSettings {
  if (typeof given === 'number') return fixedAt(powerOfTwo(given, 'lossScale', LEAST, MOST))
  if (given !== 'dynamic' && (typeof given !== 'object' || given === null))
    throw new AdasumError(
      'ERR_ARGUMENT',
      `lossScale is ${typeof given === 'string' ? inspect(given) : kindOf(given)}; it must be 'dynamic', a power of two, or an object of options.`,
    )
  const options: LossScaleOptions = given === 'dynamic' ? {} : readOptions(given as LossScaleOptions, OPTIONS)
  const minScale = powerOfTwo(options.minScale ?? LEAST, 'minScale', LEAST, MOST)
  const maxScale = powerOfTwo(options.maxScale ?? MOST, 'maxScale', minScale, MOST)
  return Object.freeze({
    initialScale: powerOfTwo(options.initialScale ?? 2 ** 16, 'initialScale', minScale, maxScale),
    growthFactor: powerOfTwo(options.growthFactor ?? 2, 'growthFactor', 2, MOST),
    backoffFactor: powerOfTwo(options.backoffFactor ?? 0.5, 'backoffFactor', LEAST, 0.5),
    growthInterval: wholeNumber(options.growthInterval ?? 2000, 'growthInterval', { least: 1 }),
    ...{ minScale, maxScale },
  })
}

function fixedAt(scale: number): LossScaleSettings {
  return checkLossScale({ initialScale: scale, minScale: scale, maxScale: scale })
}

/**
 * A power of two within bounds, which are powers of two themselves.
 *
 * @throws AdasumError ERR_ARGUMENT
 */
export function powerOfTwo(value: unknown, what: string, least: number, most: number): number {
  const isPower = typeof value === 'number' && value === 2 ** Math.round(Math.log2(value))
  if (isPower && value >= least && value <= most) return value
  throw new AdasumError(
    'ERR_ARGUMENT',
    `${what} is ${inspect(value)}; it must be a power of two from 2^${Math.log2(least)} to 2^${Math.log2(most)}.`,
  )
}
