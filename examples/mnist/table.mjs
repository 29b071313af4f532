/** The result in words: the table, one line about each run's weights, and two sentences that the numbers decide. */
import { CHANCE_ACCURACY, LEVEL_POINTS } from './config.mjs'
import { hasFailed, sortByRate } from './records.mjs'
import { OP_NAMES, formatCount, formatMegabytes, formatOrthogonality, formatPercent, plural } from './text.mjs'

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
 * One sentence a learning rate: how Adasum did beside sum and average, and beside one process alone.
 *
 * @param {Summary[]} summaries
 * @returns {string[]}
 */
export function sentences(summaries) {
  const rates = [...new Set(sortByRate(summaries).map(({ learningRate }) => learningRate))]
  return rates.map((rate) => {
    const ofRate = summaries.filter(({ learningRate }) => learningRate === rate)
    const { none, average, sum, adasum } = Object.fromEntries(ofRate.map((run) => [run.op, run]))
    const groupSteps = formatCount(Math.max(average.steps, sum.steps, adasum.steps))
    const alone = `one process alone, in ${plural(none.steps, 'step')} instead of ${groupSteps}, ${reaches(none)}`
    return `At learning rate ${rate} ${standing(adasum, [sum, average])}; ${alone}.`
  })
}

/**
 * @param {Summary} adasum
 * @param {Summary[]} others
 */
function standing(adasum, others) {
  const groups = { ahead: [], level: [], behind: [] }
  for (const other of others) groups[comparison(adasum, other)].push(nameAndResult(other, adasum))
  const parts = [
    groups.level.length > 0 ? `keeps up with ${groups.level.join(' and with ')}` : '',
    groups.ahead.length > 0 ? `is ahead of ${groups.ahead.join(' and of ')}` : '',
    groups.behind.length > 0 ? `falls behind ${groups.behind.join(' and ')}` : '',
  ].filter(Boolean)
  const subject = hasFailed(adasum)
    ? `Adasum fails (${formatPercent(adasum.accuracy)}) and`
    : `Adasum (${formatPercent(adasum.accuracy)})`
  return `${subject} ${parts.join(' and ')}`
}

/**
 * @param {Summary} adasum
 * @param {Summary} other
 * @returns {'ahead' | 'level' | 'behind'}
 */
function comparison(adasum, other) {
  const points = pointsBetween(adasum, other)
  if (Math.abs(points) <= LEVEL_POINTS) return 'level'
  return points > 0 ? 'ahead' : 'behind'
}

/**
 * @param {Summary} other
 * @param {Summary} adasum
 */
function nameAndResult(other, adasum) {
  const result = formatPercent(other.accuracy)
  if (other.diverged) return `${OP_NAMES[other.op]} (${result}, diverged)`
  if (hasFailed(other)) return `${OP_NAMES[other.op]} (${result}, as good as guessing)`
  const points = Math.abs(pointsBetween(adasum, other))
  return `${OP_NAMES[other.op]} (${result}${points > LEVEL_POINTS ? `, ${points.toFixed(1)} points` : ''})`
}

/** @param {Summary} run */
function reaches(run) {
  return hasFailed(run) ? `fails (${formatPercent(run.accuracy)})` : `reaches ${formatPercent(run.accuracy)}`
}

/**
 * Difference of the accuracies as they are printed, in points: a reader who subtracts gets the same.
 *
 * @param {Summary} a
 * @param {Summary} b
 */
function pointsBetween(a, b) {
  const tenths = ({ accuracy }) => Math.round(10 * Number((100 * accuracy).toFixed(1)))
  return (tenths(a) - tenths(b)) / 10
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
