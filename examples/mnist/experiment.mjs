/** The experiment from the outside: its header, its runs, and what is made of their results. */
import { writeFile } from 'node:fs/promises'
import { relative } from 'node:path'
import {
  BATCH_SIZE,
  MOMENTUM,
  OWN_RATE,
  PARAMETER_COUNT,
  RATES,
  TEST_IMAGES,
  TRAIN_IMAGES,
  WORKERS_PER_RANK,
  alonePlan,
  epochPlan,
  epochSteps,
  imagesPerStep,
  ratePlans,
  rateSteps,
} from './config.mjs'
import { locateMnist } from './data.mjs'
import { glanceLines } from './glance.mjs'
import { toJson } from './json.mjs'
import { examineMachine } from './machine.mjs'
import { renderPage } from './page.mjs'
import { runAlone, runGroup } from './processes.mjs'
import { createRun, record, runsOfRanks, summarizeAll } from './records.mjs'
import { coloursFor, createScreen } from './screen.mjs'
import { COLUMNS, alignColumns, tableRows, weightLine } from './table.mjs'
import { formatCount, plural, wrap } from './text.mjs'
import { verdictOn } from './verdict.mjs'

/** @param {ReturnType<typeof import('./options.mjs').readOptions>} options */
export async function runExperiment({ ranks, examples, seed, quick, json, page }) {
  locateMnist()
  const machine = await examineMachine()
  const out = json ? process.stderr : process.stdout
  const title = `${ranks * WORKERS_PER_RANK} workers in ${ranks} processes train LeNet-5 on MNIST`
  const facts = describeExperiment({ ranks, examples, seed, machine })
  const isShort = examples <= TRAIN_IMAGES - imagesPerStep(ranks)
  const notice = isShort ? shortNotice(examples, quick) : ''
  out.write(formatHeader(title, facts, notice, coloursFor(out)))
  const runs = await trainAll({ ranks, examples, seed }, out)
  const results = summarizeAll(runs)
  out.write(formatResult({ results, notice, steps: rateSteps(examples, ranks) }, out))
  await writeFile(page, renderPage({ title, facts, notice }, runs))
  out.write(`\nThe same as a page, with curves: ${relative(process.cwd(), page)}\n`)
  if (json) process.stdout.write(`${toJson(ranks, results)}\n`)
  if (!runsOfRanks(results).every(({ weightsEqual }) => weightsEqual))
    throw new Error('The ranks of a run ended with different weights.')
}

/**
 * First the ranks at all rates; then an epoch alone, and one by the ranks, all of which start anew: each of the two that
 * are compared in time begins in processes that have done nothing else, and nothing runs beside it.
 *
 * @param {{ ranks: number, examples: number, seed: number }} setting
 * @param {NodeJS.WriteStream} out
 */
async function trainAll({ ranks, examples, seed }, out) {
  const plans = { rates: ratePlans(examples, ranks), alone: [alonePlan(examples)], ranks: [epochPlan(examples, ranks)] }
  const rates = plans.rates.map((plan) => createRun(plan, ranks))
  const alone = plans.alone.map((plan) => createRun(plan, 1))
  const together = plans.ranks.map((plan) => createRun(plan, ranks))
  const screen = createScreen(out, [...rates, ...alone, ...together])
  const listener = (runs) => (rank, message) => {
    const run = runs[message.run]
    // A process that is ready says so of no run.
    if (run === undefined) return
    record(run, rank, message)
    screen.update(run)
  }
  const part = { examples, seed }
  try {
    await runGroup({ size: ranks, ...part, plans: plans.rates }, listener(rates))
    await runAlone({ ...part, plans: plans.alone }, listener(alone))
    await runGroup({ size: ranks, ...part, plans: plans.ranks }, listener(together))
  } finally {
    screen.close()
  }
  return { rates, alone: alone[0], ranks: together[0] }
}

/**
 * What stands above the bars and at the end of the page.
 *
 * @returns {[string, string][]}
 */
function describeExperiment({ ranks, examples, seed, machine }) {
  const workers = ranks * WORKERS_PER_RANK
  const perRank = `${ranks} over TCP, each with ${WORKERS_PER_RANK} logical workers: ${workers} batches of ${BATCH_SIZE} images a step`
  const [short, long] = [rateSteps(examples, ranks), epochSteps(examples, ranks)]
  const seen = (steps) => `${formatCount(steps * imagesPerStep(ranks))} images in ${plural(steps, 'step')}`
  const alone = plural(examples / BATCH_SIZE, 'step')
  return [
    ['machine', `${machine.isa}, ${plural(machine.cores, 'core')}, Node.js ${process.versions.node}`],
    ['model', `LeNet-5, ${formatCount(PARAMETER_COUNT)} parameters, the same initial weights in every run`],
    ['ranks', perRank],
    ['update', `all workers’ gradients combined, then momentum SGD (${MOMENTUM}); a constant rate`],
    [
      'rates',
      `${RATES.join(', ')}: around one worker’s own (${OWN_RATE}), not retuned for ${workers}; ${seen(short)} each`,
    ],
    ['epoch', `${seen(long)}; plain TensorFlow.js in one process, run alone: ${alone} of ${BATCH_SIZE}`],
    ['test', `accuracy on ${formatCount(TEST_IMAGES)} images of MNIST that none was trained on`],
    ['seed', `${seed}: initial weights and the order of the images`],
  ]
}

/** @param {number} examples @param {boolean} quick */
function shortNotice(examples, quick) {
  const what = `${formatCount(examples)} of the ${formatCount(TRAIN_IMAGES)} training images`
  return `${quick ? 'Quick: only' : 'Only'} ${what}. Leave out ${quick ? '--quick' : '--examples'} for the full epoch.`
}

/**
 * @param {string} title
 * @param {[string, string][]} facts
 * @param {string} notice
 * @param {ReturnType<typeof import('./screen.mjs').coloursFor>} colours
 */
function formatHeader(title, facts, notice, colours) {
  const lines = facts.map(([name, value]) => `${colours.dim(name.padEnd(8))} ${value}`)
  return `\n${[colours.bold(title), '', ...lines, ...(notice === '' ? [] : ['', colours.yellow(notice)])].join('\n')}\n\n`
}

/**
 * @param {{ results: import('./records.mjs').Results, notice: string, steps: number }} result
 * @param {NodeJS.WriteStream} out
 */
function formatResult({ results, notice, steps }, out) {
  const colours = coloursFor(out)
  const verdict = verdictOn(results, steps)
  const [header, ...rows] = alignColumns(COLUMNS, tableRows(results))
  const wrapped = (sentence) => wrap(sentence, out.columns)
  const blocks = [
    [colours.bold(header), ...rows, ...(notice === '' ? [] : [colours.yellow(notice)]), '', weightLine(results)],
    [colours.bold(wrapped(verdict.rates)), '', ...glanceLines(results.rates, colours)],
    [colours.bold(wrapped(verdict.epoch)), '', ...verdict.details.map(wrapped)],
  ]
  return blocks.map((lines) => `\n${lines.join('\n')}\n`).join('')
}
