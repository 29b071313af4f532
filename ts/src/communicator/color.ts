/** Who is in a group that is split off. */
import { wholeNumber } from '../tensor/check.ts'

/** What a rank without a color says. */
const NO_COLOR = -1

export function checkColor(color: unknown): number {
  if (color === undefined) return NO_COLOR
  return wholeNumber(color, 'color', { hint: ', or undefined to stay out.' })
}

export function checkKey(key: unknown): number {
  return wholeNumber(key, 'key', { least: -Infinity, hint: '. Ranks are ordered by it.' })
}

/** Ranks of one color in the order of their keys. `all` has color and key of each rank. */
export function ranksOfColor(all: Float64Array, color: number): number[] {
  const ranks = Array.from({ length: all.length / 2 }, (_, rank) => rank).filter((rank) => all[2 * rank] === color)
  return ranks.sort((a, b) => all[2 * a + 1]! - all[2 * b + 1]! || a - b)
}
