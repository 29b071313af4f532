/** Who is in a group that is split off. */
import { AdasumError, inspect } from '../errors.ts'

/** What a rank without a color says. */
const NO_COLOR = -1

export function checkColor(color: unknown): number {
  if (color === undefined) return NO_COLOR
  if (Number.isSafeInteger(color) && (color as number) >= 0) return color as number
  const message = `color is ${inspect(color)}; it must be a whole number from 0, or undefined to stay out.`
  throw new AdasumError('ERR_ARGUMENT', message)
}

export function checkKey(key: unknown): number {
  if (Number.isSafeInteger(key)) return key as number
  throw new AdasumError('ERR_ARGUMENT', `key is ${inspect(key)}; it must be a whole number. Ranks are ordered by it.`)
}

/** Ranks of one color in the order of their keys. `all` has color and key of each rank. */
export function ranksOfColor(all: Float64Array, color: number): number[] {
  const ranks = Array.from({ length: all.length / 2 }, (_, rank) => rank).filter((rank) => all[2 * rank] === color)
  return ranks.sort((a, b) => all[2 * a + 1]! - all[2 * b + 1]! || a - b)
}
