/** Axes of a chart, and when a loss counts as diverged: numbers only, nothing is drawn here. */

/** Smaller losses than this are drawn at the lower end. */
const LEAST_LOSS = 1e-6
/** So many times its beginning: a loss that large is no noise of a micro-batch. */
const DIVERGED = 2

/**
 * @typedef {object} Axis
 * @property {number} least
 * @property {number} most
 * @property {number[]} ticks
 * @property {(value: number) => number} shareOf where a value lies between both ends, 0 to 1; NaN has no place
 * @property {(value: number) => string} format
 */

/** @param {number} least @param {number} most @returns {Axis} */
export function linearAxis(least, most) {
  const ticks = [0, 1, 2, 3, 4].map((tick) => least + ((most - least) * tick) / 4)
  const shareOf = (value) => within((value - least) / (most - least))
  return { least, most, ticks, shareOf, format: (value) => value.toFixed(2) }
}

/**
 * A logarithmic axis over whole powers of ten that holds every value: nothing that grows is drawn flat.
 *
 * @param {number[]} values those that are no positive numbers do not count
 * @returns {Axis}
 */
export function logarithmicAxis(values) {
  const drawable = values.filter((value) => value > 0 && value < Infinity)
  const smallest = drawable.reduce((a, b) => Math.min(a, b), 0.5)
  const largest = drawable.reduce((a, b) => Math.max(a, b), 0.5)
  const first = Math.floor(Math.log10(Math.max(smallest, LEAST_LOSS)))
  const last = Math.ceil(Math.log10(largest))
  const powers = Array.from({ length: last - first + 1 }, (_, i) => first + i)
  const stride = Math.ceil(powers.length / 7)
  return {
    least: 10 ** first,
    most: 10 ** last,
    ticks: powers.filter((power) => (power - first) % stride === 0).map((power) => 10 ** power),
    shareOf: (value) => within((Math.log10(value) - first) / (last - first)),
    // 10 ** -3 has a few last bits too many to be written as it is.
    format: (value) => (value < 1e-3 || value > 9999 ? value.toExponential(0) : String(Number(value.toPrecision(1)))),
  }
}

/** @param {number} share */
const within = (share) => Math.min(1, Math.max(0, share))

/**
 * The first step, counted from 1, at which the mean of the losses is not finite or a multiple of the first loss;
 * undefined if there is none.
 *
 * @param {number[]} losses
 * @param {(losses: number[]) => number[]} meanOf what evens out single micro-batches
 */
export function divergedAt(losses, meanOf) {
  const step = meanOf(losses).findIndex((mean) => !(mean <= DIVERGED * losses[0]))
  return step < 0 ? undefined : step + 1
}
