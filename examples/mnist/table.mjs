/** The result in figures: the table of all runs, and whether the ranks ended them with the same weights. */
import { OPS } from './config.mjs'
import { hasFailed, runsOfRanks } from './records.mjs'
import { OP_NAMES, formatCount, formatMegabytes, formatOrthogonality, formatPercent, joinWords } from './text.mjs'
import { isNearBest, pointsBehind } from './verdict.mjs'

/** @typedef {import('./records.mjs').Summary} Summary @typedef {import('./records.mjs').Results} Results */

export const COLUMNS = [
  'rate',
  'combined by',
  'images',
  'steps',
  'accuracy',
  'seconds',
  'communicating',
  'sent',
  'orthogonality',
  '',
]

/** Which of them hold words. */
export const isTextColumn = (index) => index === 1 || index === COLUMNS.length - 1

/**
 * The table's cells, a row a run: sorted by rate and operator, then the epoch alone and by the ranks.
 *
 * @param {Results} results
 */
export function tableRows({ rates, alone, ranks }) {
  const compared = sortByRate(rates).map((run) => cellsOf(run, remarkOn(run, rates)))
  return [...compared, ...[alone, ranks].map((run) => cellsOf(run, remarkOn(run, [])))]
}

/** @param {Summary} run @param {string} remark */
function cellsOf(run, remark) {
  return [
    String(run.learningRate),
    OP_NAMES[run.op],
    formatCount(run.images),
    formatCount(run.steps),
    formatPercent(run.accuracy, 2),
    run.seconds.toFixed(1),
    run.ranks > 1 ? formatPercent(run.communicationShare, 0) : '–',
    formatMegabytes(run.bytesSent),
    formatOrthogonality(run.orthogonality),
    remark,
  ]
}

/** @param {Summary} run @param {Summary[]} compared */
function remarkOn(run, compared) {
  if (run.diverged) return 'diverged'
  if (hasFailed(run)) return 'as good as guessing'
  if (pointsBehind(run, compared) === 0) return 'best'
  return isNearBest(run, compared) ? 'within one point' : ''
}

/** By rate, and within a rate average, sum, Adasum. @param {Summary[]} rates */
export function sortByRate(rates) {
  return rates.toSorted((a, b) => a.learningRate - b.learningRate || OPS.indexOf(a.op) - OPS.indexOf(b.op))
}

/** Whether the ranks ended their runs with the same weights. @param {Results} results */
export function weightLine(results) {
  const runs = runsOfRanks(results)
  const unequal = runs.filter(({ weightsEqual }) => !weightsEqual)
  const where = `on all ${results.ranks.ranks} ranks at the end of each of ${runs.length} runs`
  if (unequal.length === 0) return `The same weights ${where}, bit for bit: yes`
  const names = unequal.map(
    ({ part, op, learningRate }) => `${OP_NAMES[op]} at ${learningRate}${part === 'epoch' ? ' (epoch)' : ''}`,
  )
  return `The same weights ${where}, bit for bit: NO, not with ${joinWords(names)}`
}

/**
 * Rows of cells as lines: words to the left, numbers to the right.
 *
 * @param {string[]} header
 * @param {string[][]} rows
 */
export function alignColumns(header, rows) {
  const widths = header.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i].length)))
  const line = (cells) =>
    cells
      .map((cell, i) => (isTextColumn(i) ? cell.padEnd(widths[i]) : cell.padStart(widths[i])))
      .join('  ')
      .trimEnd()
  return [line(header), ...rows.map(line)]
}
