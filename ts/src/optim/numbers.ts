import { AdasumError, inspect } from '../errors.ts'

/**
 * A finite number, or ERR_ARGUMENT.
 *
 * @param range - from `least` to, but not including, `below`
 */
export function numberFrom(value: unknown, what: string, range: { least: number; below?: number }): number {
  const { least, below = Infinity } = range
  if (typeof value === 'number' && value >= least && value < below) return value
  const bounds = below < Infinity ? `from ${least} to less than ${below}` : `of at least ${least}`
  throw new AdasumError('ERR_ARGUMENT', `${what} is ${inspect(value)}; it must be a finite number ${bounds}.`)
}
