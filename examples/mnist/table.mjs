/** The result in figures: the table, and one line about each run's weights. */
import { CHANCE_ACCURACY } from './config.mjs'
import { sortByRate } from './records.mjs'
import { OP_NAMES, formatCount, formatMegabytes, formatOrthogonality, formatPercent } from './text.mjs'

/** @typedef {import('./records.mjs').Summary} Summary */

export const COLUMNS = [
  'rate',
  'combined by',
  'ranks',
  'accuracy',
  'steps',
  'seconds',
  'communicating',
  'sent',
  'orthogonality',
  '',
]

/**
 * The table's cells, a row a run, sorted by rate.
 *
 * @param {Summary[]} summaries
 */
export function tableRows(summaries) {
  return sortByRate(summaries).map((run) => [
    String(run.learningRate),
    OP_NAMES[run.op],
    String(run.ranks),
    formatPercent(run.accuracy, 2),
    formatCount(run.steps),
    run.seconds.toFixed(1),
    run.ranks > 1 ? formatPercent(run.communicationShare, 0) : '–',
    formatMegabytes(run.bytesSent),
    formatOrthogonality(run.orthogonality),
    remarkOn(run),
  ])
}

/** @param {Summary} run */
function remarkOn(run) {
  if (run.diverged) return 'diverged'
  return run.accuracy < CHANCE_ACCURACY ? 'as good as guessing' : ''
}

/**
 * One line a run of several ranks.
 *
 * @param {Summary[]} summaries
 */
export function weightLines(summaries) {
  return sortByRate(summaries)
    .filter(({ ranks }) => ranks > 1)
    .map(({ op, ranks, learningRate, weightsEqual, sha256 }) => {
      const answer = weightsEqual ? `yes (sha256 ${sha256.slice(0, 16)})` : 'NO, they differ'
      const name = `${String(learningRate).padStart(5)}  ${OP_NAMES[op].padEnd(7)}`
      return `${name}  same weights on all ${ranks} ranks: ${answer}`
    })
}

/**
 * Rows of cells as lines: text columns to the left, numbers to the right.
 *
 * @param {string[]} header
 * @param {string[][]} rows
 */
export function alignColumns(header, rows) {
  const widths = header.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i].length)))
  const isText = header.map((title, i) => title === '' || i === 1)
  const line = (cells) =>
    cells
      .map((cell, i) => (isText[i] ? cell.padEnd(widths[i]) : cell.padStart(widths[i])))
      .join('  ')
      .trimEnd()
  return [line(header), ...rows.map(line)]
}
