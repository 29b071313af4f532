/** What is seen while the ranks train: one bar a run that moves in a terminal, plain lines elsewhere. */
import { createLogUpdate } from 'log-update'
import picocolors from 'picocolors'
import { RATES } from './config.mjs'
import { currentState, isDone } from './records.mjs'
import { OP_NAMES, formatCount, formatLoss, formatPercent } from './text.mjs'

/** @typedef {import('./records.mjs').Run} Run */

const REDRAW_INTERVAL_MS = 100

/** Without a terminal a run says where it stands this many times before its end, by what it is for. */
const PLAIN_LINES = { rates: 1, epoch: 4 }

const OP_COLUMNS = Math.max(...Object.values(OP_NAMES).map((name) => name.length))
const RATE_COLUMNS = Math.max(...RATES.map((rate) => String(rate).length))

/** Columns of a line besides the bar: rate, name, loss, speed, share, accuracy and the gaps. */
const FIXED_COLUMNS = 69
const BAR_COLUMNS = { least: 8, most: 32 }

/** The same colours as on the page. */
export const COLOURS = { none: 'white', average: 'cyan', sum: 'yellow', adasum: 'green' }

/** @param {NodeJS.WriteStream} stream */
export function coloursFor(stream) {
  const { NO_COLOR, FORCE_COLOR, TERM } = process.env
  const wanted = FORCE_COLOR !== undefined && FORCE_COLOR !== '0'
  return picocolors.createColors(!NO_COLOR && (wanted || (stream.isTTY === true && TERM !== 'dumb')))
}

/**
 * @param {NodeJS.WriteStream} stream
 * @param {Run[]} runs in the order in which they are shown
 */
export function createScreen(stream, runs) {
  return stream.isTTY && process.env.TERM !== 'dumb' ? createBars(stream, runs) : createPlainLines(stream)
}

/** @param {NodeJS.WriteStream} stream @param {Run[]} runs */
function createBars(stream, runs) {
  const colours = coloursFor(stream)
  const log = createLogUpdate(stream)
  const draw = () => log(runs.map((run) => barLine(run, stream.columns ?? 80, colours)).join('\n'))
  const timer = setInterval(draw, REDRAW_INTERVAL_MS)
  draw()
  return {
    update: () => {},
    close: () => {
      clearInterval(timer)
      draw()
      log.done()
    },
  }
}

/**
 * @param {Run} run
 * @param {number} columns
 * @param {ReturnType<typeof import('./screen.mjs').coloursFor>} colours
 */
export function barLine(run, columns, colours) {
  const colour = colours[COLOURS[run.op]]
  const width = Math.max(BAR_COLUMNS.least, Math.min(BAR_COLUMNS.most, columns - FIXED_COLUMNS))
  const state = currentState(run)
  const filled = Math.floor((state?.fraction ?? 0) * width)
  const bar = colour('━'.repeat(filled)) + colours.dim('─'.repeat(width - filled))
  const name = nameOf(run)
  if (state === undefined) return `${colours.dim(name)}  ${bar}`
  return `${colour(name)}  ${bar}  ${stateWords(run, state)}${resultWords(run, colours)}`
}

/** What the run is, in as many columns as all others. @param {Run} run */
function nameOf({ part, op, learningRate }) {
  const what = part === 'epoch' ? 'epoch' : String(learningRate)
  return `${what.padEnd(RATE_COLUMNS)}  ${OP_NAMES[op].padEnd(OP_COLUMNS)}`
}

/** @param {Run} run @param {NonNullable<ReturnType<typeof currentState>>} state */
function stateWords(run, { loss, imagesPerSecond, communicationShare }) {
  const speed = `${formatCount(imagesPerSecond).padStart(5)} img/s`
  const share = run.ranks > 1 ? `${formatPercent(communicationShare, 0).padStart(4)} comm` : ' '.repeat(9)
  return `loss ${formatLoss(loss).padStart(6)}  ${speed}  ${share}`
}

/** @param {Run} run @param {ReturnType<typeof import('./screen.mjs').coloursFor>} colours */
function resultWords(run, colours) {
  if (!isDone(run)) return ''
  const [done] = run.done
  return `  ${colours.bold(done.diverged ? 'diverged' : formatPercent(done.accuracy))}`
}

/** @param {NodeJS.WriteStream} stream */
function createPlainLines(stream) {
  /** @type {Map<Run, number>} */
  const printed = new Map()
  return {
    /** @param {Run} run */
    update: (run) => {
      const state = currentState(run)
      if (state === undefined) return
      const lines = PLAIN_LINES[run.part]
      const line = isDone(run) ? lines : Math.min(lines - 1, Math.floor(state.fraction * lines))
      if (line <= (printed.get(run) ?? -1)) return
      printed.set(run, line)
      const where = formatPercent(state.fraction, 0).padStart(5)
      stream.write(`${nameOf(run)}  ${where}  ${stateWords(run, state)}${resultWords(run, coloursFor(stream))}\n`)
    },
    close: () => {},
  }
}
