/** A line chart as an SVG element of a page: no script, colours and text sizes from the page's style sheet. */
import { positionOn } from './axes.mjs'

const SIZE = { width: 560, height: 360 }
const MARGIN = { left: 92, right: 24, top: 14, bottom: 66 }
const PLOT = {
  left: MARGIN.left,
  right: SIZE.width - MARGIN.right,
  top: MARGIN.top,
  bottom: SIZE.height - MARGIN.bottom,
}

/**
 * @typedef {object} Axis
 * @property {string} label with its unit
 * @property {[number, number]} domain
 * @property {number[]} ticks
 * @property {(value: number) => string} format
 * @property {(value: number) => number} [transform] what is drawn evenly; default the value itself
 *
 * @typedef {object} Series
 * @property {string} name
 * @property {string} className decides colour and dashes
 * @property {[number, number][]} points
 * @property {boolean} [withMarkers] a dot a point, which tells its values when the pointer rests on it
 *
 * @typedef {object} Chart
 * @property {string} id unique in the page
 * @property {string} title what the chart shows, for those who cannot see it
 * @property {Axis} x
 * @property {Axis} y
 * @property {Series[]} series
 * @property {{ value: number, label: string }[]} [references] horizontal lines with a meaning, which the page's legend
 *   shows: words between the curves would be drawn over
 */

/** @param {Chart} chart */
export function lineChart({ id, title, x, y, series, references = [] }) {
  const toX = scale(x, PLOT.left, PLOT.right)
  const toY = scale(y, PLOT.bottom, PLOT.top)
  return [
    `<svg class="chart" viewBox="0 0 ${SIZE.width} ${SIZE.height}" role="img" aria-labelledby="${id}-title">`,
    `<title id="${id}-title">${escapeHtml(title)}</title>`,
    ...x.ticks.map((tick) => tickOfX(toX(tick), x.format(tick))),
    ...y.ticks.map((tick) => tickOfY(toY(tick), y.format(tick))),
    text('axis', `x="${(PLOT.left + PLOT.right) / 2}" y="${SIZE.height - 10}" text-anchor="middle"`, x.label),
    text('axis', `transform="translate(22 ${(PLOT.top + PLOT.bottom) / 2}) rotate(-90)" text-anchor="middle"`, y.label),
    ...references.map(({ value, label }) => reference(toY(value), label)),
    ...series.map((line) => drawSeries(line, { x, y, toX, toY })),
    '</svg>',
  ].join('\n')
}

/** @param {Axis} axis @param {number} from @param {number} to */
const scale = (axis, from, to) => (value) => from + positionOn(axis, value) * (to - from)

/** @param {number} at @param {string} label */
function tickOfX(at, label) {
  const line = `<line class="grid" x1="${round(at)}" x2="${round(at)}" y1="${PLOT.top}" y2="${PLOT.bottom}"/>`
  return line + text('tick', `x="${round(at)}" y="${PLOT.bottom + 22}" text-anchor="middle"`, label)
}

/** @param {number} at @param {string} label */
function tickOfY(at, label) {
  return (
    horizontal('grid', at) + text('tick', `x="${PLOT.left - 8}" y="${round(at)}" dy="0.35em" text-anchor="end"`, label)
  )
}

/** @param {number} at @param {string} label */
function reference(at, label) {
  return horizontal('reference', at, `<title>${escapeHtml(label)}</title>`)
}

/** @param {string} className @param {number} at @param {string} [content] markup */
function horizontal(className, at, content = '') {
  const place = `x1="${PLOT.left}" x2="${PLOT.right}" y1="${round(at)}" y2="${round(at)}"`
  return `<line class="${className}" ${place}>${content}</line>`
}

/** @param {string} className @param {string} place attributes @param {string} content */
function text(className, place, content) {
  return `<text class="${className}" ${place}>${escapeHtml(content)}</text>`
}

/**
 * @param {Series} series
 * @param {{ x: Axis, y: Axis, toX: (value: number) => number, toY: (value: number) => number }} axes
 */
function drawSeries({ name, className, points, withMarkers }, { x, y, toX, toY }) {
  const path = points.map(([px, py], i) => `${i === 0 ? 'M' : 'L'}${round(toX(px))} ${round(toY(py))}`).join('')
  const dots = withMarkers
    ? points.map(([px, py]) => {
        const words = `${name}: ${y.format(py)} at ${x.format(px)}`
        return `<circle cx="${round(toX(px))}" cy="${round(toY(py))}" r="3"><title>${escapeHtml(words)}</title></circle>`
      })
    : []
  return `<g class="series ${className}"><path d="${path}"><title>${escapeHtml(name)}</title></path>${dots.join('')}</g>`
}

/** @param {number} value */
const round = (value) => Number(value.toFixed(1))

/** @param {string} words */
export function escapeHtml(words) {
  return words.replace(/[&<>"]/g, (sign) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[sign])
}
