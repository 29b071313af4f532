/**
 * What `split` is given: a color, which decides who is in the new group, and a key, which decides the order of its
 * ranks.
 */
import { wholeNumber } from '../tensor/check.ts'

/** The color that a rank without one sends. */
const NO_COLOR = -1

export function checkColor(color: unknown): number {
  if (color === undefined) return NO_COLOR
  return wholeNumber(color, 'color', { hint: ', or undefined to stay out.' })
}

export function checkKey(key: unknown): number {
  return wholeNumber(key, 'key', { least: -Infinity, hint: '. Ranks are ordered by it.' })
}

/**
 * Ranks of one color in the order of their keys.
 * @param all - color and key of each rank
 */
export function ranksOfColor(all: Float64Array, color: number): number[] {
  const ranks = Array.from({ length: all.length / 2 }, (_, rank) => rank).filter((rank) => all[2 * rank] === color)
  return ranks.sort((a, b) => all[2 * a + 1]! - all[2 * b + 1]! || a - b)
}
