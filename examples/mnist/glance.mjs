/** The accuracies of all rates and operators at a glance: a bar each, for the terminal. */
import { ACCURACY_AXIS, positionOn } from './axes.mjs'
import { OPS } from './config.mjs'
import { COLOURS } from './screen.mjs'
import { sortByRate } from './table.mjs'
import { OP_NAMES, formatPercent } from './text.mjs'
import { isNearBest } from './verdict.mjs'

const BAR_COLUMNS = 10
const CELL_COLUMNS = BAR_COLUMNS + '  97.31 % ●'.length
const RATE_COLUMNS = 7

/**
 * A line a rate, and in it an operator beside the other.
 *
 * @param {import('./records.mjs').Summary[]} rates
 * @param {ReturnType<typeof import('./screen.mjs').coloursFor>} colours
 */
export function glanceLines(rates, colours) {
  const header = ['rate'.padStart(RATE_COLUMNS), ...OPS.map((op) => OP_NAMES[op].padEnd(CELL_COLUMNS))]
    .join('  ')
    .trimEnd()
  const values = [...new Set(sortByRate(rates).map(({ learningRate }) => learningRate))]
  const lines = values.map((rate) => {
    const cells = OPS.map((op) => {
      const run = rates.find((each) => each.op === op && each.learningRate === rate)
      return cell(run, isNearBest(run, rates), colours)
    })
    return [String(rate).padStart(RATE_COLUMNS), ...cells].join('  ').trimEnd()
  })
  return [colours.bold(header), ...lines, `${' '.repeat(RATE_COLUMNS)}  ● within one point of the best`]
}

/** @param {import('./records.mjs').Summary} run @param {boolean} isNear @param {ReturnType<typeof import('./screen.mjs').coloursFor>} colours */
function cell({ op, accuracy }, isNear, colours) {
  const filled = Math.round(positionOn(ACCURACY_AXIS, accuracy || 0) * BAR_COLUMNS)
  const bar = colours[COLOURS[op]]('━'.repeat(filled)) + colours.dim('─'.repeat(BAR_COLUMNS - filled))
  const words = `${formatPercent(accuracy, 2).padStart(7)} ${isNear ? '●' : ' '}`
  return `${bar}  ${isNear ? colours.bold(words) : words}`
}
