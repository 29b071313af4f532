/** The experiment from the outside: its header, its runs, and what is made of their results. */
import { writeFile } from 'node:fs/promises'
import { relative } from 'node:path'
import {
  BATCH_SIZE,
  LARGE_RATE,
  MODEST_RATE,
  MOMENTUM,
  PARAMETER_COUNT,
  TEST_IMAGES,
  TRAIN_IMAGES,
  groupRuns,
  singleRuns,
  stepsOf,
} from './config.mjs'
import { locateMnist } from './data.mjs'
import { examineMachine } from './machine.mjs'
import { renderPage } from './page.mjs'
import { runAlone, runGroup } from './processes.mjs'
import { createRun, record, summarize, toJson } from './records.mjs'
import { coloursFor, createScreen } from './screen.mjs'
import { COLUMNS, alignColumns, tableRows, weightLines } from './table.mjs'
import { formatCount, plural, wrap } from './text.mjs'
import { sentences } from './verdict.mjs'

/** @param {ReturnType<typeof import('./options.mjs').readOptions>} options */
export async function runExperiment({ ranks, examples, seed, quick, json, page }) {
  locateMnist()
  const machine = await examineMachine()
  const out = json ? process.stderr : process.stdout
  const title = `${ranks} processes train LeNet-5 together on MNIST`
  const facts = describeExperiment({ ranks, examples, seed, machine })
  const isShort = examples < TRAIN_IMAGES - (TRAIN_IMAGES % ranks)
  const notice = isShort ? shortNotice(examples, quick) : ''
  out.write(formatHeader(title, facts, notice, coloursFor(out)))
  const runs = await trainAll({ ranks, examples, seed }, out)
  const summaries = runs.map(summarize)
  out.write(formatResult({ summaries, notice, steps: stepsOf(examples, ranks) }, out))
  await writeFile(page, renderPage({ title, facts, notice, examples, ranks }, runs))
  out.write(`\nCurves and orthogonality by layer: ${relative(process.cwd(), page)}\n`)
  if (json) process.stdout.write(`${toJson({ ranks, examples }, summaries)}\n`)
  if (!summaries.every(({ weightsEqual }) => weightsEqual))
    throw new Error('The ranks of a run ended with different weights.')
}

/**
 * First the group, which starts once and does all its runs, then the processes that train alone, side by side.
 *
 * @param {{ ranks: number, examples: number, seed: number }} plan
 * @param {NodeJS.WriteStream} out
 */
async function trainAll({ ranks, examples, seed }, out) {
  const group = groupRuns().map((run) => createRun(run, ranks))
  const single = singleRuns().map((run) => createRun(run, 1))
  const screen = createScreen(out, [...group, ...single])
  const take = (run, rank, message) => {
    if (run === undefined) return
    record(run, rank, message)
    screen.update(run)
  }
  try {
    await runGroup({ size: ranks, examples, seed, runs: groupRuns() }, (rank, message) =>
      take(group[message.run], rank, message),
    )
    await runAlone({ examples, seed, runs: singleRuns() }, (index, message) => take(single[index], 0, message))
  } finally {
    screen.close()
  }
  return [...group, ...single]
}

/**
 * What stands above the bars and at the end of the page.
 *
 * @returns {[string, string][]}
 */
function describeExperiment({ ranks, examples, seed, machine }) {
  const steps = (processes) => plural(stepsOf(examples, processes), 'step')
  const data = `${formatCount(examples)} training images once, ${formatCount(examples / ranks)} a rank`
  const alone = `one process alone: ${steps(1)} of ${BATCH_SIZE}`
  return [
    ['machine', `${machine.isa}, ${plural(machine.cores, 'core')}, Node.js ${process.versions.node}`],
    ['model', `LeNet-5, ${formatCount(PARAMETER_COUNT)} parameters, the same initial weights in every run`],
    ['data', `MNIST: ${data}; ${formatCount(TEST_IMAGES)} test images`],
    ['ranks', `${ranks} over TCP: ${steps(ranks)} of ${ranks} x ${BATCH_SIZE} images; ${alone}`],
    ['update', `momentum SGD (${MOMENTUM}) on each rank, then start + op(local weights - start)`],
    ['rates', `${MODEST_RATE} and ${LARGE_RATE}, from a sweep with one process alone, not retuned for ${ranks} ranks`],
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
 * @param {{ summaries: import('./records.mjs').Summary[], notice: string, steps: number }} result
 * @param {NodeJS.WriteStream} out
 */
function formatResult({ summaries, notice, steps }, out) {
  const colours = coloursFor(out)
  const [header, ...rows] = alignColumns(COLUMNS, tableRows(summaries))
  const words = sentences(summaries, steps).map((sentence) => wrap(sentence, out.columns))
  const under = notice === '' ? [] : [colours.yellow(notice)]
  return `\n${[colours.bold(header), ...rows, ...under, '', ...weightLines(summaries), '', ...words].join('\n')}\n`
}
