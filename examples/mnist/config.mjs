/** What the experiment is: everything that two readings of it must have in common. */

/** From the sweep in README.md: the largest rate at which one process alone still trains well, and a tenth of it. */
export const MODEST_RATE = 0.005
export const LARGE_RATE = 0.05

export const MOMENTUM = 0.9

/** Images a rank takes a step. Never changed with the number of ranks, as the learning rate is not. */
export const BATCH_SIZE = 64

export const DEFAULT_RANKS = 4
export const DEFAULT_SEED = 1

export const TRAIN_IMAGES = 60_000
export const TEST_IMAGES = 10_000

export const PARAMETER_COUNT = 61_706

/** The model's layers with weights, input side first; each has a kernel and a bias, in this order. */
export const LAYER_NAMES = ['conv1', 'conv2', 'dense1', 'dense2', 'output']

/** Training images of `--quick`. */
export const QUICK_EXAMPLES = 12_000

/** Test images behind each point of an accuracy curve: every fifth. The table's accuracy is on all of them. */
export const CURVE_IMAGES = 2_000

/** Where in an epoch the curve's points lie: close together while the accuracy still rises steeply. */
export const CURVE_FRACTIONS = [0.02, 0.04, 0.06, 0.09, 0.13, 0.19, 0.26, 0.34, 0.42, 0.5, 0.6, 0.7, 0.8, 0.9, 1]

/**
 * Accuracies no further apart than this are called level, in the sweep as in the result: the choice of the seed alone
 * moves a run by up to a point.
 */
export const LEVEL_POINTS = 1

/**
 * Runs of fewer steps than this say that everything works, and nothing about rates or ways of combining: none of them is
 * trained to the end. The full epoch of four ranks has 235.
 */
export const FEWEST_STEPS_TO_COMPARE = 200

/** Steps of a group of so many processes, or of one alone. @param {number} examples @param {number} processes */
export const stepsOf = (examples, processes) => Math.ceil(examples / processes / BATCH_SIZE)

/** Below this accuracy a model of ten classes has learned next to nothing. */
export const CHANCE_ACCURACY = 0.2

export const OPS = ['average', 'sum', 'adasum']

/**
 * The runs of the group of ranks, in the order in which they happen.
 *
 * @returns {{ op: string, learningRate: number }[]}
 */
export function groupRuns() {
  return [MODEST_RATE, LARGE_RATE].flatMap((learningRate) => OPS.map((op) => ({ op, learningRate })))
}

/** The runs of one process alone. Their op is `none`: nothing is combined. */
export function singleRuns() {
  return [MODEST_RATE, LARGE_RATE].map((learningRate) => ({ op: 'none', learningRate }))
}
