/** The headlines: what the numbers of the runs allow to say, and no more. */
import { FEWEST_STEPS_TO_COMPARE, LEVEL_POINTS, OPS, OWN_RATE, TRAIN_IMAGES, imagesPerStep } from './config.mjs'
import { hasFailed, runsOfRanks } from './records.mjs'
import { OP_NAMES, formatCount, formatPercent, joinWords, plural } from './text.mjs'

/** @typedef {import('./records.mjs').Summary} Summary @typedef {import('./records.mjs').Results} Results */

/** Operators in the order in which a sentence names those that have done equally well. */
const NAMED_FIRST = OPS.toReversed()

/**
 * Accuracy in hundredths of a point, which is how it is printed: who subtracts what is printed gets the same.
 *
 * @param {Pick<Summary, 'accuracy'>} run
 */
const hundredths = ({ accuracy }) => Math.round(10_000 * accuracy)

/** The most accurate run that has learned anything. @param {Summary[]} runs @returns {Summary | undefined} */
export function bestOf(runs) {
  return runs.filter((run) => !hasFailed(run)).toSorted((a, b) => b.accuracy - a.accuracy)[0]
}

/**
 * By how many points a run stays behind the best of all; undefined if it, or every run, has learned nothing.
 *
 * @param {Summary} run
 * @param {Summary[]} runs
 */
export function pointsBehind(run, runs) {
  const best = bestOf(runs)
  if (best === undefined || hasFailed(run)) return undefined
  return (hundredths(best) - hundredths(run)) / 100
}

/** @param {Summary} run @param {Summary[]} runs */
export const isNearBest = (run, runs) => pointsBehind(run, runs) <= LEVEL_POINTS

/**
 * At how many learning rates each operator is within one point of the best accuracy of all operators and rates.
 *
 * @param {Summary[]} rates
 * @returns {Record<string, number>} by operator
 */
export function countNearBest(rates) {
  const counted = (name) => rates.filter((run) => run.op === name && isNearBest(run, rates)).length
  return Object.fromEntries(OPS.map((op) => [op, counted(op)]))
}

/** Whether runs of so many steps say anything about operators. @param {number} steps of each run that compares rates */
export const areComparable = (steps) => steps >= FEWEST_STEPS_TO_COMPARE

/**
 * @param {Results} results
 * @param {number} steps that each run of the comparison of rates was to have
 * @returns {{ rates: string, epoch: string, details: string[] }} a headline for each figure, and sentences on them
 */
export function verdictOn(results, steps) {
  if (!areComparable(steps))
    return {
      rates: 'Accuracy over learning rate',
      epoch: 'Accuracy over time',
      details: [whetherItWorks(results), whyNoMore(steps)],
    }
  return {
    rates: rateHeadline(results.rates),
    epoch: epochHeadline(results),
    details: [atOwnRate(results.rates), epochInFigures(results)],
  }
}

/** @param {Results} results */
function whetherItWorks({ rates, alone, ranks }) {
  const ofRanks = runsOfRanks({ rates, alone, ranks })
  const equal = ofRanks.filter(({ weightsEqual }) => weightsEqual).length
  const ended =
    equal === ofRanks.length ? `ended each of their ${equal}` : `ended only ${equal} of their ${ofRanks.length}`
  const all = [...ofRanks, alone]
  const learnt = all.filter((run) => !hasFailed(run)).length
  return `The ${ranks.ranks} ranks ${ended} runs with the same weights, bit for bit; of all ${all.length} runs ${learnt} do better than guessing.`
}

/** @param {number} steps */
function whyNoMore(steps) {
  return `Runs of ${plural(steps, 'step')} are too short to compare learning rates or operators; it takes ${FEWEST_STEPS_TO_COMPARE} steps.`
}

/** @param {Summary[]} rates */
function rateHeadline(rates) {
  const count = new Set(rates.map(({ learningRate }) => learningRate)).size
  const best = bestOf(rates)
  if (best === undefined) return `No operator learns anything at any of the ${count} learning rates`
  const counts = countNearBest(rates)
  const groups = [...new Set(Object.values(counts))].sort((a, b) => b - a)
  const parts = groups.map((number, index) => {
    const names = joinWords(NAMED_FIRST.filter((op) => counts[op] === number).map((op) => OP_NAMES[op]))
    return `${names} at ${number === 0 ? 'none' : number}${index === 0 ? ` of ${count} learning rates` : ''}`
  })
  return `Within one point of the best accuracy (${formatPercent(best.accuracy, 2)}): ${parts.join(', ')}`
}

/** @param {Summary[]} rates */
function atOwnRate(rates) {
  const runs = rates.filter(({ learningRate }) => learningRate === OWN_RATE)
  const ordered = runs.toSorted((a, b) => hasFailed(a) - hasFailed(b) || (b.accuracy || 0) - (a.accuracy || 0))
  const results = ordered.map((run) => `${OP_NAMES[run.op]} ${resultOf(run)}`)
  return `At ${OWN_RATE}, the best rate of one worker alone, ${joinWords(results)}.`
}

/** @param {Summary} run */
function resultOf(run) {
  if (run.diverged) return 'diverges'
  const accuracy = formatPercent(run.accuracy, 2)
  return hasFailed(run) ? `learns nothing (${accuracy})` : `reaches ${accuracy}`
}

/** @param {Results} results */
function epochHeadline({ alone, ranks }) {
  const speed = comparedSpeed(alone.seconds / ranks.seconds)
  return `${epochName(ranks)}: ${ranks.ranks} processes are ${speed} one alone, and ${comparedAccuracy(alone, ranks)}`
}

/** @param {Summary} ranks */
function epochName({ images, ranks }) {
  const isWhole = images > TRAIN_IMAGES - imagesPerStep(ranks)
  return isWhole ? 'A full epoch' : `${formatCount(images)} images`
}

/** @param {number} ratio */
function comparedSpeed(ratio) {
  const [faster, slower] = [ratio.toFixed(1), (1 / ratio).toFixed(1)]
  if (Number(faster) > 1) return `${faster} times as fast as`
  return Number(slower) > 1 ? `${slower} times as slow as` : 'as fast as'
}

/** @param {Summary} alone @param {Summary} ranks */
function comparedAccuracy(alone, ranks) {
  if (hasFailed(alone) || hasFailed(ranks))
    return `reach ${formatPercent(ranks.accuracy, 2)} instead of ${formatPercent(alone.accuracy, 2)}`
  const points = (hundredths(ranks) - hundredths(alone)) / 100
  if (points === 0) return 'as accurate'
  return `${Math.abs(points).toFixed(2)} points ${points > 0 ? 'more' : 'less'} accurate`
}

/** @param {Results} results */
function epochInFigures({ alone, ranks }) {
  const figures = ({ accuracy, seconds, steps }) =>
    `${formatPercent(accuracy, 2)} in ${seconds.toFixed(1)} s and ${plural(steps, 'step')}`
  const together = `${ranks.ranks} processes by ${OP_NAMES[ranks.op]} reach ${figures(ranks)}`
  return `With ${formatCount(alone.images)} images at ${OWN_RATE}, ${together}; plain TensorFlow.js in one process ${figures(alone)}.`
}
