/**
 * The learning-rate sweep of README.md: one process alone, a full epoch for each rate and seed, a process a core.
 * Prints the table in Markdown and the two rates that follow from it. A quarter of an hour on two cores.
 *
 *     node examples/mnist/sweep.mjs
 */
import { availableParallelism } from 'node:os'
import { LEVEL_POINTS, TRAIN_IMAGES } from './config.mjs'
import { runAlone } from './processes.mjs'
import { createRun, hasFailed, record, summarize } from './records.mjs'
import { formatPercent } from './text.mjs'

const RATES = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2]
const SEEDS = [1, 2, 3]

/** @returns {Promise<Map<number, import('./records.mjs').Summary[]>>} by rate, in the order of the seeds */
async function sweep() {
  const runs = RATES.map((learningRate) => ({ op: 'none', learningRate }))
  const byRate = new Map(RATES.map((rate) => [rate, []]))
  for (const seed of SEEDS) {
    for (let i = 0; i < runs.length; i += availableParallelism()) {
      const part = runs.slice(i, i + availableParallelism())
      const records = part.map((run) => createRun(run, 1))
      await runAlone({ examples: TRAIN_IMAGES, seed, runs: part }, (index, message) =>
        record(records[index], 0, message),
      )
      for (const run of records) {
        const summary = summarize(run)
        byRate.get(run.learningRate).push(summary)
        process.stderr.write(`seed ${seed}, rate ${run.learningRate}: ${resultOf(summary)}\n`)
      }
    }
  }
  return byRate
}

/** @param {import('./records.mjs').Summary} summary */
function resultOf(summary) {
  return `${formatPercent(summary.accuracy, 2)}${hasFailed(summary) ? ' (failed)' : ''}`
}

/** @param {Map<number, import('./records.mjs').Summary[]>} byRate */
function print(byRate) {
  const means = new Map([...byRate].map(([rate, runs]) => [rate, mean(runs.map(({ accuracy }) => accuracy))]))
  const best = Math.max(...means.values())
  // With every seed: a rate that fails now and then is too large.
  const trainsWell = (rate) => byRate.get(rate).every(({ accuracy }) => 100 * (best - accuracy) <= LEVEL_POINTS)
  console.log(`| learning rate | ${SEEDS.map((seed) => `seed ${seed}`).join(' | ')} | mean | trains well |`)
  console.log(`|--:|${SEEDS.map(() => '--:').join('|')}|--:|:--|`)
  for (const [rate, runs] of byRate) {
    const cells = [rate, ...runs.map(resultOf), formatPercent(means.get(rate), 2), trainsWell(rate) ? 'yes' : 'no']
    console.log(`| ${cells.join(' | ')} |`)
  }
  const largest = Math.max(...RATES.filter(trainsWell))
  console.log(
    `\nThe largest rate at which one process alone still trains well: ${largest}. A tenth of it: ${largest / 10}.`,
  )
}

const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length

try {
  print(await sweep())
} catch (error) {
  process.stderr.write(`examples/mnist/sweep: ${error.message}\n`)
  process.exitCode = 1
}
