/** The axes of the page's charts, and of the bars in the terminal. */
import { OWN_RATE, RATES } from './config.mjs'
import { formatCount, formatPercent } from './text.mjs'

/** @typedef {import('./chart.mjs').Axis} Axis */

/** Even in the logarithm of the error, so that 98 and 99 % lie as far apart as 80 and 90 %. @type {Axis} */
export const ACCURACY_AXIS = {
  label: 'test accuracy',
  domain: [0.05, 0.993],
  ticks: [0.1, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99],
  format: (value) => formatPercent(value, 1).replace('.0', ''),
  transform: (value) => -Math.log10(1 - value),
}

/** @type {Axis} */
export const RATE_AXIS = {
  label: `learning rate (one worker’s own: ${OWN_RATE})`,
  domain: [RATES[0] / 1.3, RATES.at(-1) * 1.3],
  ticks: RATES,
  format: String,
  transform: Math.log,
}

/** @type {Axis} */
export const ORTHOGONALITY_AXIS = {
  label: 'orthogonality (ratio)',
  domain: [0, 1.05],
  ticks: [0, 0.25, 0.5, 0.75, 1],
  format: String,
}

/** From 0 to what was measured. @param {string} label @param {number} end @returns {Axis} */
export function evenAxis(label, end) {
  return { label, domain: [0, Math.max(1, end)], ticks: evenTicks(end), format: formatCount }
}

/** About five round ticks from 0 to `end`. @param {number} end */
export function evenTicks(end) {
  const power = 10 ** Math.floor(Math.log10(Math.max(end, 1) / 4))
  const spacing = Math.max(
    1,
    [1, 2, 5, 10].map((factor) => factor * power).find((size) => end / size <= 6),
  )
  return Array.from({ length: Math.floor(end / spacing) + 1 }, (_, i) => i * spacing)
}

/** Where a value lies on an axis, from 0 to 1. @param {Axis} axis @param {number} value */
export function positionOn({ domain, transform = (x) => x }, value) {
  const [low, high] = domain.map(transform)
  return Math.min(1, Math.max(0, (transform(value) - low) / (high - low)))
}
