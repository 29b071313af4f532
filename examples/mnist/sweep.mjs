/**
 * The learning-rate sweep of README.md: one worker in a process alone, a full epoch for each rate and seed, a process a
 * core. Prints the table in Markdown and the rate that follows from it. A quarter of an hour on two cores.
 *
 *     node examples/mnist/sweep.mjs
 */
import { availableParallelism } from 'node:os'
import { TRAIN_IMAGES, alonePlan } from './config.mjs'
import { runAlone } from './processes.mjs'
import { createRun, hasFailed, record, summarize } from './records.mjs'
import { formatPercent } from './text.mjs'

const RATES = [0.00125, 0.0025, 0.005, 0.01, 0.02, 0.04]
const SEEDS = [1, 2, 3]

/** @returns {Promise<Map<number, import('./records.mjs').Summary[]>>} by rate, in the order of the seeds */
async function sweep() {
  // As parts of a comparison of rates they draw no curve.
  const plans = RATES.map((learningRate) => ({ ...alonePlan(TRAIN_IMAGES), part: 'rates', learningRate }))
  const byRate = new Map(RATES.map((rate) => [rate, []]))
  for (const seed of SEEDS) {
    for (let i = 0; i < plans.length; i += availableParallelism()) {
      const part = plans.slice(i, i + availableParallelism())
      const runs = part.map((plan) => createRun(plan, 1))
      await runAlone({ examples: TRAIN_IMAGES, seed, plans: part }, (index, message) => record(runs[index], 0, message))
      for (const summary of runs.map(summarize)) {
        byRate.get(summary.learningRate).push(summary)
        process.stderr.write(`seed ${seed}, rate ${summary.learningRate}: ${resultOf(summary)}\n`)
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
  console.log(`| learning rate | ${SEEDS.map((seed) => `seed ${seed}`).join(' | ')} | mean |`)
  console.log(`|--:|${SEEDS.map(() => '--:').join('|')}|--:|`)
  const means = RATES.map((rate) => [rate, mean(byRate.get(rate).map(({ accuracy }) => accuracy))])
  for (const [rate, value] of means)
    console.log(`| ${[rate, ...byRate.get(rate).map(resultOf), formatPercent(value, 2)].join(' | ')} |`)
  const [best] = means.toSorted(([, a], [, b]) => b - a)[0]
  console.log(`\nThe rate at which one worker alone trains best: ${best}.`)
}

const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length

try {
  print(await sweep())
} catch (error) {
  process.stderr.write(`examples/mnist/sweep: ${error.message}\n`)
  process.exitCode = 1
}
