/** What is known of each run: gathered from the ranks' messages while it goes on, summed up when it is done. */
import { BATCH_SIZE, CHANCE_ACCURACY, WORKERS_PER_RANK } from './config.mjs'

/**
 * @typedef {import('./config.mjs').Plan} Plan
 *
 * @typedef {Plan & RunState} Run
 *
 * @typedef {object} RunState
 * @property {number} ranks 1 for a process alone
 * @property {number} workers logical ones, of all ranks together
 * @property {(Progress | undefined)[]} progress newest of each rank
 * @property {{ step: number, seconds: number, accuracy: number }[]} curve
 * @property {(Done | undefined)[]} done by rank
 *
 * @typedef {{ step: number, loss: number, seconds: number, communicationSeconds: number }} Progress
 *
 * @typedef {object} Done what a rank says of a finished run
 * @property {number} steps that were taken
 * @property {boolean} diverged a gradient or the weights were not finite
 * @property {number} loss
 * @property {number} seconds of training, evaluation left out
 * @property {number} communicationSeconds
 * @property {number} bytesSent
 * @property {number[][]} orthogonality by step and weight tensor; empty unless op is `adasum`
 * @property {number} accuracy of all ranks together, 0 to 1
 * @property {string} sha256 of the weights
 *
 * @typedef {object} Summary
 * @property {Plan['part']} part
 * @property {string} op
 * @property {number} ranks
 * @property {number} learningRate
 * @property {number} images that were trained on
 * @property {number} steps
 * @property {number} accuracy 0 to 1
 * @property {number} seconds of the slowest rank
 * @property {number} bytesSent by all ranks together
 * @property {number | null} orthogonality mean over steps and weight tensors
 * @property {number} communicationShare 0 to 1, of all ranks' time
 * @property {boolean} weightsEqual
 * @property {boolean} diverged
 *
 * @typedef {{ rates: Summary[], alone: Summary, ranks: Summary }} Results by operator and rate; an epoch of a process
 *   alone, and of the ranks
 */

/**
 * @param {Plan} plan
 * @param {number} ranks 1 for a process alone
 * @returns {Run}
 */
export function createRun(plan, ranks) {
  return {
    ...plan,
    ranks,
    workers: plan.op === 'none' ? 1 : ranks * WORKERS_PER_RANK,
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
  if (message.type === 'point' && rank === 0) run.curve.push(message)
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
  const imagesPerStep = (run.workers / run.ranks) * BATCH_SIZE
  return {
    fraction: isDone(run) ? 1 : total(known, 'step') / (run.ranks * run.steps),
    loss: total(known, 'loss') / known.length,
    imagesPerSecond: known.reduce(
      (sum, { step, seconds }) => sum + (step * imagesPerStep) / Math.max(seconds, 1e-3),
      0,
    ),
    communicationShare: seconds > 0 ? total(known, 'communicationSeconds') / seconds : 0,
  }
}

/**
 * @param {Run} run with all ranks done
 * @returns {Summary}
 */
export function summarize({ part, op, ranks, workers, learningRate, done }) {
  const orthogonality = done[0].orthogonality.flat()
  return {
    part,
    op,
    ranks,
    learningRate,
    images: done[0].steps * workers * BATCH_SIZE,
    steps: done[0].steps,
    accuracy: done[0].accuracy,
    seconds: Math.max(...done.map(({ seconds }) => seconds)),
    bytesSent: total(done, 'bytesSent'),
    orthogonality: orthogonality.length > 0 ? orthogonality.reduce((a, b) => a + b, 0) / orthogonality.length : null,
    communicationShare: total(done, 'communicationSeconds') / total(done, 'seconds'),
    weightsEqual: done.every(({ sha256 }) => sha256 === done[0].sha256),
    diverged: done.some(({ diverged }) => diverged),
  }
}

/**
 * @param {{ rates: Run[], alone: Run, ranks: Run }} runs
 * @returns {Results}
 */
export function summarizeAll({ rates, alone, ranks }) {
  return { rates: rates.map(summarize), alone: summarize(alone), ranks: summarize(ranks) }
}

/** True if the model is no better than one that guesses. @param {Pick<Summary, 'accuracy' | 'diverged'>} summary */
export function hasFailed({ accuracy, diverged }) {
  return diverged || !(accuracy >= CHANCE_ACCURACY)
}

/** The runs of several ranks. @param {Results} results */
export const runsOfRanks = ({ rates, ranks }) => [...rates, ranks]

/**
 * @template {string} K
 * @param {Record<K, number>[]} items
 * @param {K} key
 */
function total(items, key) {
  return items.reduce((sum, item) => sum + item[key], 0)
}
