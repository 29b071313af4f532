/** What the experiment is: everything that two readings of it must have in common. */

/** The learning rate at which one worker alone trains best, from the sweep in README.md. */
export const OWN_RATE = 0.01

/** As multiples of that rate, for which nothing is tuned again. */
const MULTIPLES = [1 / 4, 1 / 2, 1, 2, 4]
export const RATES = MULTIPLES.map((multiple) => OWN_RATE * multiple)

export const OPS = ['average', 'sum', 'adasum']

/** By which the ranks train a full epoch, at the rate of one worker. */
const EPOCH_OP = 'adasum'

export const MOMENTUM = 0.9

/** Images a worker takes a step. Never changed with the number of workers, as the learning rate is not. */
export const BATCH_SIZE = 16

/** Logical workers of a rank: it computes the gradients of so many batches before the ranks combine theirs. */
export const WORKERS_PER_RANK = 4

export const DEFAULT_RANKS = 4
export const DEFAULT_SEED = 1

export const TRAIN_IMAGES = 60_000
export const TEST_IMAGES = 10_000

/** Training images of `--quick`. */
export const QUICK_EXAMPLES = 12_288

export const PARAMETER_COUNT = 61_706

/** The model's layers with weights, input side first; each has a kernel and a bias, in this order. */
export const LAYER_NAMES = ['conv1', 'conv2', 'dense1', 'dense2', 'output']

/** The part of the epoch's steps that each run of the comparison of rates takes, so that all of them fit in some minutes. */
const SHARE_OF_EPOCH = 1 / 3

/** Test images behind each point of an accuracy curve: every fifth. The table's accuracy is on all of them. */
export const CURVE_IMAGES = 2_000

/** Where in an epoch the curve's points lie: close together while the accuracy still rises steeply. */
export const CURVE_FRACTIONS = [0.02, 0.05, 0.09, 0.14, 0.2, 0.3, 0.4, 0.55, 0.7, 0.85, 1]

/** Accuracies no further apart than this are called level: the choice of the seed alone moves a run by up to a point. */
export const LEVEL_POINTS = 1

/**
 * Runs of fewer steps than this say that everything works, and nothing about rates or ways of combining: none of them has
 * been trained for long enough.
 */
export const FEWEST_STEPS_TO_COMPARE = 60

/** Below this accuracy a model of ten classes has learned next to nothing. */
export const CHANCE_ACCURACY = 0.2

/**
 * A run: what it is for, how gradients are combined (`none` in a process alone), its learning rate, and its steps.
 *
 * @typedef {{ part: 'rates' | 'epoch', op: string, learningRate: number, steps: number }} Plan
 */

/** How many images all workers of so many ranks see in one step. @param {number} ranks */
export const imagesPerStep = (ranks) => ranks * WORKERS_PER_RANK * BATCH_SIZE

/**
 * Steps of the ranks in one epoch. Images that do not fill a step of all workers are left out: a last step of smaller
 * batches would be noisier than all others.
 *
 * @param {number} examples
 * @param {number} ranks
 */
export const epochSteps = (examples, ranks) => Math.floor(examples / imagesPerStep(ranks))

/** Steps of each run of the comparison of rates. @param {number} examples @param {number} ranks */
export const rateSteps = (examples, ranks) => Math.max(1, Math.round(SHARE_OF_EPOCH * epochSteps(examples, ranks)))

/**
 * The runs that compare operators over learning rates, in the order in which they happen.
 *
 * @param {number} examples
 * @param {number} ranks
 * @returns {Plan[]}
 */
export function ratePlans(examples, ranks) {
  const steps = rateSteps(examples, ranks)
  return RATES.flatMap((learningRate) => OPS.map((op) => ({ part: 'rates', op, learningRate, steps })))
}

/** An epoch of the ranks. @param {number} examples @param {number} ranks @returns {Plan} */
export function epochPlan(examples, ranks) {
  return { part: 'epoch', op: EPOCH_OP, learningRate: OWN_RATE, steps: epochSteps(examples, ranks) }
}

/**
 * The same images by one worker in a process alone, batch after batch.
 *
 * @param {number} images
 * @returns {Plan}
 */
export function alonePlan(images) {
  return { part: 'epoch', op: 'none', learningRate: OWN_RATE, steps: Math.floor(images / BATCH_SIZE) }
}
