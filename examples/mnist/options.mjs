/** What can be said on the command line. */
import { parseArgs } from 'node:util'
import { fileURLToPath } from 'node:url'
import {
  DEFAULT_RANKS,
  DEFAULT_SEED,
  QUICK_EXAMPLES,
  TRAIN_IMAGES,
  WORKERS_PER_RANK,
  imagesPerStep,
} from './config.mjs'
import { formatCount } from './text.mjs'

const PAGE = fileURLToPath(new URL('report.html', import.meta.url))

/** The largest world that the example is meant for: more processes than this on one machine show nothing. */
const MOST_RANKS = 16

export const HELP = `Usage: npm start -- [options]     or: node examples/mnist/main.mjs [options]

  --quick         ${formatCount(QUICK_EXAMPLES)} training images instead of ${formatCount(TRAIN_IMAGES)}: about a minute
  --examples <n>  that many training images, of which the runs at five learning rates take a third
  --ranks <n>     processes that train together, 2 to ${MOST_RANKS} (default ${DEFAULT_RANKS}), each with ${WORKERS_PER_RANK} logical workers
  --seed <n>      of the initial weights and the order of the images (default ${DEFAULT_SEED})
  --page <file>   where the page goes (default examples/mnist/report.html)
  --json          stdout ends with one line of JSON; everything else goes to stderr
  -h, --help      this text
`

/** A command line that says something impossible. */
export class UsageError extends Error {}

/**
 * @param {string[]} args
 * @throws {UsageError}
 */
export function readOptions(args) {
  const { quick, json, help, page, ...given } = parse(args)
  if (quick && given.examples !== undefined) throw new UsageError('Say either --quick or --examples, not both.')
  const ranks = readInteger('--ranks', given.ranks, DEFAULT_RANKS, 2, MOST_RANKS)
  const seed = readInteger('--seed', given.seed, DEFAULT_SEED, 0, 1_000_000)
  const step = imagesPerStep(ranks)
  const examples = readInteger('--examples', given.examples, quick ? QUICK_EXAMPLES : TRAIN_IMAGES, step, TRAIN_IMAGES)
  // Whole steps of all workers, and as many images for the process alone as for all of them together.
  return { quick, json, help, page, ranks, seed, examples: examples - (examples % step) }
}

/** @param {string[]} args */
function parse(args) {
  const flag = { type: 'boolean', default: false }
  const value = { type: 'string' }
  const flags = { quick: flag, json: flag, help: { ...flag, short: 'h' } }
  const values = { examples: value, ranks: value, seed: value, page: { ...value, default: PAGE } }
  try {
    return parseArgs({ args, options: { ...flags, ...values } }).values
  } catch (error) {
    throw new UsageError(`${error.message.split('. ')[0]}. See --help.`)
  }
}

function readInteger(name, text, otherwise, least, most) {
  if (text === undefined) return otherwise
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= least && value <= most) return value
  throw new UsageError(`${name} is ${text}; it must be a whole number from ${least} to ${most}.`)
}
