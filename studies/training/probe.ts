/**
 * A linear probe: how well classes are told by logistic regression on what a frozen model makes of its inputs. It is
 * trained by all samples at once, from zero, in f64, so that it depends on the features alone.
 */

/** Rows of features and their classes. */
export interface Labelled {
  /** One row a sample. */
  readonly features: Float32Array
  /** From 0 to before the number of classes. */
  readonly labels: Int32Array
}

const STEPS = 200
const RATE = 0.5
const MOMENTUM = 0.9
/** What half the squared weights count for in the loss. */
const DECAY = 1e-3

/**
 * The share of `test` that a probe trained on `training` classifies rightly.
 *
 * @param width - features of a sample
 */
export function probeAccuracy(training: Labelled, test: Labelled, width: number, classes: number): number {
  const scale = standardizing(training.features, width)
  const weights = fit(scale(training.features), training.labels, width, classes)
  const rows = scale(test.features)
  const scores = new Float64Array(classes)
  const isRight = (label: number, row: number): boolean => {
    scoresInto(scores, weights, rows, row, width)
    return scores.indexOf(Math.max(...scores)) === label
  }
  return test.labels.filter(isRight).length / test.labels.length
}

/**
 * The means of so many rows with the same label each, in their order. Rows that fill no mean are left out.
 *
 * @param width - features of a row
 */
export function meansOf({ features, labels }: Labelled, width: number, count: number): Labelled {
  const groups = [...new Set(labels)]
    .sort((a, b) => a - b)
    .flatMap((label) => {
      const rows = [...labels.keys()].filter((row) => labels[row] === label)
      return Array.from({ length: Math.floor(rows.length / count) }, (_, group) => ({
        label,
        rows: rows.slice(group * count, (group + 1) * count),
      }))
    })
  const means = new Float32Array(groups.length * width)
  groups.forEach(({ rows }, group) => {
    for (let column = 0; column < width; column++) {
      const sum = rows.reduce((total, row) => total + features[row * width + column]!, 0)
      means[group * width + column] = sum / count
    }
  })
  return { features: means, labels: Int32Array.from(groups, ({ label }) => label) }
}

/** Takes each feature to mean 0 and variance 1 over `features`, and puts a 1 behind those of a sample. */
function standardizing(features: Float32Array, width: number): (features: Float32Array) => Float64Array {
  const count = features.length / width
  const [mean, square] = [new Float64Array(width), new Float64Array(width)]
  features.forEach((value, index) => (mean[index % width]! += value / count))
  features.forEach((value, index) => (square[index % width]! += (value - mean[index % width]!) ** 2 / count))
  return (others) => {
    const rows = new Float64Array((others.length / width) * (width + 1)).fill(1)
    others.forEach((value, index) => {
      const [row, column] = [Math.floor(index / width), index % width]
      rows[row * (width + 1) + column] = (value - mean[column]!) / Math.sqrt(square[column]! + 1e-12)
    })
    return rows
  }
}

/** Weights, one row of width + 1 a class. */
function fit(rows: Float64Array, labels: Int32Array, width: number, classes: number): Float64Array {
  const weights = new Float64Array(classes * (width + 1))
  const moment = new Float64Array(weights.length)
  const gradient = new Float64Array(weights.length)
  const scores = new Float64Array(classes)
  for (let step = 0; step < STEPS; step++) {
    weights.forEach((weight, index) => (gradient[index] = DECAY * weight))
    labels.forEach((label, row) => {
      scoresInto(scores, weights, rows, row, width)
      const highest = Math.max(...scores)
      const sum = scores.reduce((total, score) => total + Math.exp(score - highest), 0)
      for (let one = 0; one < classes; one++) {
        const error = (Math.exp(scores[one]! - highest) / sum - Number(one === label)) / labels.length
        for (let column = 0; column <= width; column++)
          gradient[one * (width + 1) + column]! += error * rows[row * (width + 1) + column]!
      }
    })
    gradient.forEach((value, index) => {
      moment[index] = MOMENTUM * moment[index]! + value
      weights[index]! -= RATE * moment[index]
    })
  }
  return weights
}

function scoresInto(scores: Float64Array, weights: Float64Array, rows: Float64Array, row: number, width: number): void {
  for (let one = 0; one < scores.length; one++) {
    let score = 0
    for (let column = 0; column <= width; column++)
      score += weights[one * (width + 1) + column]! * rows[row * (width + 1) + column]!
    scores[one] = score
  }
}
