/** The headline: what the numbers of the runs allow to say, and no more. */
import { FEWEST_STEPS_TO_COMPARE, LEVEL_POINTS } from './config.mjs'
import { hasFailed, sortByRate } from './records.mjs'
import { OP_NAMES, formatCount, formatPercent, plural } from './text.mjs'

/** @typedef {import('./records.mjs').Summary} Summary */

/**
 * One sentence a learning rate on how Adasum did beside sum and average, and beside one process alone; of short runs
 * only whether everything worked.
 *
 * @param {Summary[]} summaries
 * @param {number} steps that each run of the group was to have
 * @returns {string[]}
 */
export function sentences(summaries, steps) {
  if (steps < FEWEST_STEPS_TO_COMPARE) return [whetherItWorks(summaries), whyNoMore(steps)]
  const rates = [...new Set(sortByRate(summaries).map(({ learningRate }) => learningRate))]
  return rates.map((rate) =>
    sentenceOn(
      summaries.filter(({ learningRate }) => learningRate === rate),
      rate,
    ),
  )
}

/** @param {Summary[]} summaries */
function whetherItWorks(summaries) {
  const group = summaries.filter(({ ranks }) => ranks > 1)
  const equal = group.filter(({ weightsEqual }) => weightsEqual).length
  const ended = equal === group.length ? `ended each of their ${equal}` : `ended only ${equal} of their ${group.length}`
  const learnt = summaries.filter((run) => !hasFailed(run)).length
  const guessing = `of all ${summaries.length} runs ${learnt} do better than guessing`
  return `The ${group[0].ranks} ranks ${ended} runs with the same weights, bit for bit; ${guessing}.`
}

/** @param {number} steps */
function whyNoMore(steps) {
  return `${plural(steps, 'step')} are too few to compare learning rates or ways of combining; four ranks have 235 in a full epoch.`
}

/** @param {Summary[]} ofRate @param {number} rate */
function sentenceOn(ofRate, rate) {
  const { none, average, sum, adasum } = Object.fromEntries(ofRate.map((run) => [run.op, run]))
  const groupSteps = formatCount(Math.max(average.steps, sum.steps, adasum.steps))
  const alone = `one process alone, in ${plural(none.steps, 'step')} instead of ${groupSteps}, ${reaches(none)}`
  return `At learning rate ${rate} ${standing(adasum, [sum, average])}; ${alone}.`
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
