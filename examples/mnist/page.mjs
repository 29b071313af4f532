/** The page that stays: two figures, the table, and how all of it was measured, in one file that needs nothing else. */
import { ACCURACY_AXIS, ORTHOGONALITY_AXIS, RATE_AXIS, evenAxis } from './axes.mjs'
import { escapeHtml, lineChart } from './chart.mjs'
import { CURVE_IMAGES, LAYER_NAMES, LEVEL_POINTS, OPS, OWN_RATE, RATES } from './config.mjs'
import { PAGE_STYLE } from './page-style.mjs'
import { summarizeAll } from './records.mjs'
import { COLUMNS, isTextColumn, sortByRate, tableRows, weightLine } from './table.mjs'
import { OP_NAMES, formatCount, formatPercent } from './text.mjs'
import { areComparable, bestOf, countNearBest, verdictOn } from './verdict.mjs'

/**
 * @typedef {import('./records.mjs').Run} Run
 * @typedef {import('./records.mjs').Results} Results
 * @typedef {{ rates: Run[], alone: Run, ranks: Run }} Runs as in `Results`
 */

/** Steps on either side that a point of an orthogonality curve is averaged with. */
const SMOOTHING_STEPS = 2

/**
 * @param {{ title: string, facts: [string, string][], notice: string }} setting
 * @param {Runs} runs all done
 * @returns {string} HTML
 */
export function renderPage({ title, facts, notice }, runs) {
  const results = summarizeAll(runs)
  const { steps } = runs.rates[0]
  const verdict = verdictOn(results, steps)
  return [
    '<!doctype html>',
    '<html lang="en">',
    `<head><meta charset="utf-8"/><meta name="viewport" content="width=device-width, initial-scale=1"/>`,
    `<meta name="color-scheme" content="light dark"/><title>${escapeHtml(title)}</title>`,
    `<style>${PAGE_STYLE}</style></head>`,
    '<body><main>',
    `<h1>${escapeHtml(title)}</h1>`,
    notice === '' ? '' : `<p class="notice">${escapeHtml(notice)}</p>`,
    grid([
      figure(verdict.rates, rateLegend(results.rates, areComparable(steps)), rateChart(results.rates)),
      figure(verdict.epoch, legend(epochEntries(results)), epochChart(runs)),
    ]),
    ...verdict.details.map((sentence) => `<p class="finding">${words(sentence)}</p>`),
    tableSection(results),
    orthogonalitySection(runs.ranks),
    factsSection(facts),
    '</main></body></html>',
  ].join('\n')
}

/** @param {Results['rates']} rates */
function rateChart(rates) {
  const series = OPS.map((op) => ({
    name: OP_NAMES[op],
    className: `op-${op}`,
    points: sortByRate(rates)
      .filter((run) => run.op === op)
      .map(({ learningRate, accuracy }) => [learningRate, accuracy || 0]),
    withMarkers: true,
  }))
  const best = bestOf(rates)
  const references = best === undefined ? [] : [{ value: levelOf(best), label: levelWords(best) }]
  const title = 'Test accuracy by average, sum and Adasum at each learning rate'
  return lineChart({ id: 'rates', title, x: RATE_AXIS, y: ACCURACY_AXIS, series, references })
}

/** The least accuracy that is within one point of the best. @param {{ accuracy: number }} best */
const levelOf = ({ accuracy }) => accuracy - LEVEL_POINTS / 100

/** @param {{ accuracy: number }} best */
const levelWords = (best) => `one point below the best (${formatPercent(levelOf(best), 2)})`

/** @param {Results['rates']} rates @param {boolean} areCounted */
function rateLegend(rates, areCounted) {
  const best = bestOf(rates)
  const counts = countNearBest(rates)
  const count = (op) => (areCounted ? `: ${counts[op]} of ${RATES.length}` : '')
  const operators = OPS.toReversed().map((op) => [`op-${op}`, `${OP_NAMES[op]}${count(op)}`])
  return legend([...operators, ...(best === undefined ? [] : [['is-reference', levelWords(best)]])])
}

/** @param {Runs} runs */
function epochChart({ alone, ranks }) {
  const series = [ranks, alone].map((run) => ({
    name: OP_NAMES[run.op],
    className: `op-${run.op}`,
    points: run.curve.map(({ seconds, accuracy }) => [seconds, accuracy || 0]),
    withMarkers: true,
  }))
  const end = Math.max(0, ...series.flatMap(({ points }) => points.map(([seconds]) => seconds)))
  const x = evenAxis('seconds of training', end)
  const title = 'Test accuracy over seconds of training, by the ranks and by one process alone'
  return lineChart({ id: 'epoch', title, x, y: ACCURACY_AXIS, series })
}

/** @param {Results} results */
function epochEntries({ ranks }) {
  return [
    [`op-${ranks.op}`, `${ranks.ranks} processes, ${OP_NAMES[ranks.op]}`],
    ['op-none', 'one process alone, plain TensorFlow.js'],
  ]
}

/** @param {Run} run */
function orthogonalitySection({ ranks, done }) {
  const reference = {
    value: 1 / ranks,
    label: `${(1 / ranks).toFixed(2)}: identical gradients, Adasum is their average`,
  }
  const values = done[0].orthogonality
  const series = LAYER_NAMES.map((name, layer) => ({
    name,
    className: `layer-${layer}`,
    points: smooth(values.map((tensors) => tensors[2 * layer])),
  }))
  const title = `Orthogonality of the ${ranks} ranks’ gradients, layer by layer, over the steps of an epoch`
  const axes = { x: evenAxis('step', values.length), y: ORTHOGONALITY_AXIS }
  const chart = lineChart({ id: 'orthogonality', title, ...axes, series, references: [reference] })
  const entries = [...LAYER_NAMES.map((name, layer) => [`layer-${layer}`, name]), ['is-reference', reference.label]]
  return section(
    'Why: orthogonality of the ranks’ gradients',
    [
      `|result|² / Σ|gradient|² of each layer’s kernel in the epoch of the ranks at ${OWN_RATE},`,
      `a mean over ${2 * SMOOTHING_STEPS + 1} steps. At 1 the gradients are orthogonal, and Adasum is their sum.`,
    ],
    grid([figure('By layer', legend(entries), chart)]),
  )
}

/** Centred moving mean; at the ends over what there is. @param {number[]} values @returns {[number, number][]} */
export function smooth(values) {
  return values.map((_, i) => {
    const window = values.slice(Math.max(0, i - SMOOTHING_STEPS), i + SMOOTHING_STEPS + 1)
    return [i + 1, window.reduce((a, b) => a + b, 0) / window.length]
  })
}

/** @param {Results} results */
function tableSection(results) {
  const cells = (row, tag) =>
    row.map((cell, i) => `<${tag}${isTextColumn(i) ? ' class="text"' : ''}>${escapeHtml(cell)}</${tag}>`).join('')
  const rows = tableRows(results).map((row) => `<tr>${cells(row, 'td')}</tr>`)
  const head = `<thead><tr>${cells(COLUMNS, 'th')}</tr></thead>`
  // The keyboard, too, must be able to scroll what is wider than the page.
  const table = `<div class="wide" role="region" aria-label="Result" tabindex="0"><table>${head}<tbody>${rows.join('\n')}</tbody></table></div>`
  const hint = '<p class="hint">The table is wider than this screen: scroll it sideways. →</p>'
  return section(
    'All runs',
    [
      'Accuracy on all 10,000 test images, in the curves of the epoch on every fifth of them',
      `(${formatCount(CURVE_IMAGES)}). Seconds are those of training, evaluation left out; communicating is the share of`,
      'them spent in all-reduce, waiting for the slowest rank included; sent is by all ranks together; orthogonality is',
      'the mean over steps and weight tensors.',
    ],
    `${hint}${table}<p>${escapeHtml(weightLine(results))}</p>`,
  )
}

/** @param {[string, string][]} facts */
function factsSection(facts) {
  const items = facts.map(([name, value]) => `<dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}</dd>`)
  return section('How it was measured', [], `<dl>${items.join('\n')}</dl>`)
}

/** @param {string} title @param {string[]} lines @param {string} content */
function section(title, lines, content) {
  const paragraph = lines.length === 0 ? '' : `<p>${escapeHtml(lines.join(' '))}</p>`
  return `<section><h2>${escapeHtml(title)}</h2>\n${paragraph}\n${content}</section>`
}

/** @param {string[][]} entries class name and words */
function legend(entries) {
  const sample = '<svg class="sample" viewBox="0 0 36 12" aria-hidden="true"><path d="M1 6H35"/></svg>'
  const items = entries.map(
    ([className, text]) => `<li class="series ${className}">${sample}<span>${words(text)}</span></li>`,
  )
  return `<ul class="legend">${items.join('')}</ul>\n`
}

/** A percent sign stays with its number. @param {string} text */
const words = (text) => escapeHtml(text.replaceAll(' %', '\u00a0%'))

/** @param {string[]} figures */
const grid = (figures) => `<div class="grid-of-charts">${figures.join('\n')}</div>`

/** @param {string} caption @param {string} entries the legend @param {string} chart */
const figure = (caption, entries, chart) =>
  `<figure><figcaption>${words(caption)}</figcaption>${entries}${chart}</figure>`
