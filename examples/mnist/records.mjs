/** What is known of each run: gathered from the ranks' messages while it goes on, summed up when it is done. */
import { BATCH_SIZE, CHANCE_ACCURACY, OPS } from './config.mjs'

/**
 * @typedef {object} Run
 * @property {string} op `average`, `sum`, `adasum`, or `none` for one process alone
 * @property {number} ranks
 * @property {number} learningRate
 * @property {(Progress | undefined)[]} progress newest of each rank
 * @property {{ step: number, accuracy: number }[]} curve
 * @property {(Done | undefined)[]} done by rank
 *
 * @typedef {{ step: number, steps: number, loss: number, seconds: number, communicationSeconds: number }} Progress
 *
 * @typedef {object} Done what a rank says of a finished run
 * @property {number} steps
 * @property {boolean} diverged the weights or an update were not finite
 * @property {number} loss
 * @property {number} seconds of training, evaluation left out
 * @property {number} communicationSeconds
 * @property {number} bytesSent
 * @property {number[][]} orthogonality by step and weight tensor; empty unless op is `adasum`
 * @property {number} accuracy of all ranks together, 0 to 1
 * @property {string} sha256
 *
 * @typedef {object} Summary
 * @property {string} op
 * @property {number} ranks
 * @property {number} learningRate
 * @property {number} accuracy 0 to 1
 * @property {number} steps
 * @property {number} seconds of the slowest rank
 * @property {number} bytesSent by all ranks together
 * @property {number | null} orthogonality mean over steps and weight tensors
 * @property {number} communicationShare 0 to 1, of all ranks' time
 * @property {boolean} weightsEqual
 * @property {string} sha256 of rank 0's weights
 * @property {boolean} diverged
 */

/**
 * @param {{ op: string, learningRate: number }} run
 * @param {number} ranks
 * @returns {Run}
 */
export function createRun({ op, learningRate }, ranks) {
  return {
    op,
    learningRate,
    ranks,
    progress: Array.from({ length: ranks }),
    curve: [],
    done: Array.from({ length: ranks }),
  }
}

/**
 * Takes in a message of one rank about this run.
 *
 * @param {Run} run
 * @param {number} rank
 * @param {any} message
 */
export function record(run, rank, message) {
  if (message.type === 'progress') run.progress[rank] = message
  if (message.type === 'done') run.done[rank] = message
  // All ranks know the accuracy of the weights they share; one of them is enough.
  if (message.type === 'point' && rank === 0) run.curve.push({ step: message.step, accuracy: message.accuracy })
}

/** @param {Run} run */
export function isDone(run) {
  return run.done.every((done) => done !== undefined)
}

/**
 * The run as it stands, over all ranks that have spoken; undefined before any has.
 *
 * @param {Run} run
 */
export function currentState(run) {
  const known = run.progress.filter((progress) => progress !== undefined)
  if (known.length === 0) return undefined
  const seconds = total(known, 'seconds')
  return {
    fraction: isDone(run) ? 1 : total(known, 'step') / (run.ranks * known[0].steps),
    loss: total(known, 'loss') / known.length,
    imagesPerSecond: known.reduce((sum, { step, seconds }) => sum + (step * BATCH_SIZE) / Math.max(seconds, 1e-3), 0),
    communicationShare: seconds > 0 ? total(known, 'communicationSeconds') / seconds : 0,
  }
}

/**
 * @param {Run} run with all ranks done
 * @returns {Summary}
 */
export function summarize(run) {
  const { op, ranks, learningRate, done } = run
  const orthogonality = done[0].orthogonality.flat()
  return {
    op,
    ranks,
    learningRate,
    accuracy: done[0].accuracy,
    steps: done[0].steps,
    seconds: Math.max(...done.map(({ seconds }) => seconds)),
    bytesSent: total(done, 'bytesSent'),
    orthogonality: orthogonality.length > 0 ? orthogonality.reduce((a, b) => a + b, 0) / orthogonality.length : null,
    communicationShare: total(done, 'communicationSeconds') / total(done, 'seconds'),
    weightsEqual: done.every(({ sha256 }) => sha256 === done[0].sha256),
    sha256: done[0].sha256,
    diverged: done.some(({ diverged }) => diverged),
  }
}

/**
 * Sorted by rate, and within a rate the process alone, average, sum, Adasum.
 *
 * @param {Summary[]} summaries
 */
export function sortByRate(summaries) {
  const place = ({ op }) => OPS.findIndex((name) => name === op)
  return summaries.toSorted((a, b) => a.learningRate - b.learningRate || place(a) - place(b))
}

/** True if the model is as good as one that guesses. @param {Summary} summary */
export function hasFailed({ accuracy, diverged }) {
  return diverged || accuracy < CHANCE_ACCURACY
}

const JSON_KEYS = [
  'op',
  'ranks',
  'learningRate',
  'accuracy',
  'steps',
  'seconds',
  'bytesSent',
  'orthogonality',
  'communicationShare',
  'weightsEqual',
]

/** The last line of `--json`. @param {{ ranks: number, examples: number }} setting @param {Summary[]} summaries */
export function toJson({ ranks, examples }, summaries) {
  const runs = sortByRate(summaries).map((summary) => Object.fromEntries(JSON_KEYS.map((key) => [key, summary[key]])))
  return JSON.stringify({ worldSize: ranks, examples, runs })
}

/**
 * @template {string} K
 * @param {Record<K, number>[]} items
 * @param {K} key
 */
function total(items, key) {
  return items.reduce((sum, item) => sum + item[key], 0)
}
