/** The choice of a learning rate: the best of a grid that grows until the best one has neighbours on both sides. */

/** A grid that still grows after so many rates has no best one. */
const MOST_GROWTHS = 8

export interface Choice {
  readonly rate: number
  /** Whether rates on both sides of it were tried and were worse. */
  readonly insideGrid: boolean
  /** All that were tried, by rate. */
  readonly tried: readonly { readonly rate: number; readonly score: number }[]
}

/** What is said where not all of a grid is known: it might be any rate. */
const UNKNOWN: Choice = { rate: NaN, insideGrid: false, tried: [] }

/**
 * @param base - the rate of exponent 0; the others are base times powers of 2
 * @param exponents - whole numbers one after the other
 * @param scoresOf - one score a rate, higher is better; NaN is worst. Undefined if one of them is not known, which
 *   makes the rate NaN.
 */
export async function chooseRate(
  base: number,
  exponents: readonly number[],
  scoresOf: (rates: readonly number[]) => Promise<readonly number[] | undefined>,
): Promise<Choice> {
  const scores = new Map<number, number>()
  let wanted = [...exponents].sort((a, b) => a - b)
  for (let growth = 0; ; growth++) {
    const found = await scoresOf(wanted.map((exponent) => base * 2 ** exponent))
    if (found === undefined) return UNKNOWN
    wanted.forEach((exponent, index) => scores.set(exponent, Number.isNaN(found[index]) ? -Infinity : found[index]!))
    const tried = [...scores.keys()].sort((a, b) => a - b)
    const best = tried.reduce((one, other) => (scores.get(other)! > scores.get(one)! ? other : one))
    const insideGrid = best !== tried[0] && best !== tried.at(-1)
    if (insideGrid || growth === MOST_GROWTHS) {
      const list = tried.map((exponent) => ({ rate: base * 2 ** exponent, score: scores.get(exponent)! }))
      return { rate: base * 2 ** best, insideGrid, tried: list }
    }
    wanted = [best === tried[0] ? best - 1 : best + 1]
  }
}

/** Whole numbers from `first` to `last`. */
export function range(first: number, last: number): number[] {
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => first + index)
}
