/** What is said of a few seeds: their mean, and the interval in which the mean of all seeds lies with 95 % confidence. */

export interface Summary {
  /** NaN of no values. */
  readonly mean: number
  /** Lower and upper end; null for fewer than two values, of which nothing can be said. */
  readonly interval: readonly [number, number] | null
}

const CONFIDENCE = 0.95

/** NaN of no values. */
export const meanOf = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length

/** Mean and Student's interval. */
export function summarize(values: readonly number[]): Summary {
  const count = values.length
  const mean = meanOf(values)
  if (count < 2) return { mean, interval: null }
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (count - 1)
  const half = studentQuantile(CONFIDENCE, count - 1) * Math.sqrt(variance / count)
  return { mean, interval: [mean - half, mean + half] }
}

/**
 * Differences between two settings by seed.
 *
 * @throws Error if they have different numbers of seeds
 */
export function minus(first: readonly number[], second: readonly number[]): number[] {
  if (first.length !== second.length)
    throw new Error(`${first.length} and ${second.length} values cannot be paired: use the same seeds for both.`)
  return first.map((value, index) => value - second[index]!)
}

/**
 * Mean and interval of differences between two settings with the same seeds, in which what a seed does to both cancels.
 *
 * @throws Error if they have different numbers of seeds
 */
export const summarizePairs = (first: readonly number[], second: readonly number[]): Summary =>
  summarize(minus(first, second))

/** The slope of the straight line that fits best; NaN for fewer than two different x. */
export function slopeOf(points: readonly (readonly [x: number, y: number])[]): number {
  const [x, y] = [meanOf(points.map(([each]) => each)), meanOf(points.map(([, each]) => each))]
  const spread = points.reduce((sum, point) => sum + (point[0] - x) ** 2, 0)
  return points.reduce((sum, point) => sum + (point[0] - x) * (point[1] - y), 0) / spread
}

/** The t for which a share `confidence` of Student's distribution lies between -t and t. */
export function studentQuantile(confidence: number, degrees: number): number {
  if (!(Number.isInteger(degrees) && degrees >= 1 && confidence > 0 && confidence < 1))
    throw new Error(`confidence ${confidence} must lie between 0 and 1, degrees ${degrees} be a whole number above 0.`)
  let [below, above] = [0, 1]
  while (shareWithin(above, degrees) < confidence) above *= 2
  while (above - below > above * 1e-14) {
    const middle = (below + above) / 2
    if (shareWithin(middle, degrees) < confidence) below = middle
    else above = middle
  }
  return above
}

/** Abramowitz and Stegun, 26.7.3 and 26.7.4: for whole degrees of freedom the integral is a finite series. */
function shareWithin(t: number, degrees: number): number {
  const angle = Math.atan(t / Math.sqrt(degrees))
  const square = Math.cos(angle) ** 2
  const isOdd = degrees % 2 === 1
  let term = isOdd ? Math.cos(angle) : 1
  let sum = degrees === 1 ? 0 : term
  for (let k = isOdd ? 3 : 2; k < degrees; k += 2) {
    term *= (square * (k - 1)) / k
    sum += term
  }
  return isOdd ? (2 / Math.PI) * (angle + Math.sin(angle) * sum) : Math.sin(angle) * sum
}
