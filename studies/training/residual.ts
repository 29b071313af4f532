/**
 * A small residual network with batch norm: 8 channels in half the resolution, then 16 in a quarter, two blocks with a
 * shortcut and one that halves. Workers normalize by their own batches, as processes do that exchange no statistics.
 *
 * Running means would depend on which worker kept them. So a model is judged with statistics of fixed training images,
 * taken at the weights that it has at the end.
 */
import * as tf from '@tensorflow/tfjs-core'
import type { Cell } from './cell.ts'
import { CLASSES, batchOf, evaluateOn, forBatches } from './classification.ts'
import { crossEntropy } from './cross-entropy.ts'
import { type Examples, readImages } from './images.ts'
import { type Model, offsetsOf } from './model.ts'
import { normalNumbers } from './random.ts'
import { assignAll, gradientInto } from './tf-variables.ts'

/** Images of which the statistics for an evaluation are taken. */
const STATISTICS_COUNT = 2000
const EPSILON = 1e-3
const [NARROW, WIDE] = [8, 16]

interface Convolution {
  readonly name: string
  /** Height and width, which are equal. */
  readonly side: number
  readonly inputs: number
  readonly outputs: number
  readonly stride: 1 | 2
}

const convolution = (name: string, side: number, inputs: number, outputs: number, stride: 1 | 2): Convolution => ({
  ...{ name, side, inputs, outputs, stride },
})

/** In the order in which `scoresOf` takes them. */
const CONVOLUTIONS: readonly Convolution[] = [
  convolution('stem', 3, 1, NARROW, 2),
  convolution('narrow1', 3, NARROW, NARROW, 1),
  convolution('narrow2', 3, NARROW, NARROW, 1),
  convolution('halving1', 3, NARROW, WIDE, 2),
  convolution('halving2', 3, WIDE, WIDE, 1),
  convolution('shortcut', 1, NARROW, WIDE, 2),
  convolution('wide1', 3, WIDE, WIDE, 1),
  convolution('wide2', 3, WIDE, WIDE, 1),
]

/** Mean and variance of each channel, one pair for each convolution. */
type Statistics = readonly (readonly [mean: tf.Tensor1D, variance: tf.Tensor1D])[]

export async function makeResidual(data: Cell['data']): Promise<Model> {
  const splits = await readImages(data)
  const segments = segmentsOf()
  const offsets = offsetsOf(segments)
  const variables = segments.map(({ shape }) => tf.variable(tf.zeros([...shape])))
  return {
    segments,
    elementCount: offsets.at(-1)!,
    chance: 1 / CLASSES,
    initial: async (seed) => initialWeights(seed),
    load(weights) {
      assignAll(variables, offsets, weights)
    },
    async gradient(indices, target) {
      const [images, labels] = batchOf(splits.training, indices)
      const loss = gradientInto(target, variables, offsets, () => crossEntropy(scoresOf(variables, images), labels))
      tf.dispose([images, labels])
      return loss
    },
    async evaluate(split, count) {
      const statistics = statisticsOf(variables, splits.training)
      const found = evaluateOn(splits[split], count, {
        scoresOf: (images) => scoresOf(variables, images, { statistics }),
        lossOf: (images, labels) => crossEntropy(scoresOf(variables, images, { statistics }), labels),
      })
      tf.dispose(statistics.flat())
      return found
    },
  }
}

function segmentsOf(): { name: string; shape: number[] }[] {
  const normalized = CONVOLUTIONS.flatMap(({ name, side, inputs, outputs }) => [
    { name, shape: [side, side, inputs, outputs] },
    { name: `${name}/gamma`, shape: [outputs] },
    { name: `${name}/beta`, shape: [outputs] },
  ])
  return [...normalized, { name: 'classes', shape: [WIDE, CLASSES] }, { name: 'classes/bias', shape: [CLASSES] }]
}

/** By He et al. for what a rectifier follows; gamma 1, beta and bias 0. */
function initialWeights(seed: number): Float32Array {
  const next = normalNumbers(seed)
  const parts = segmentsOf().map(({ name, shape }) => {
    const size = tf.util.sizeFromShape(shape)
    if (shape.length === 1) return new Array<number>(size).fill(name.endsWith('gamma') ? 1 : 0)
    const fanIn = size / shape.at(-1)!
    return Array.from({ length: size }, () => next() * Math.sqrt(2 / fanIn))
  })
  return Float32Array.from(parts.flat())
}

interface Normalization {
  /** Those to normalize by; default those of the batch. */
  readonly statistics?: Statistics
  /** Is told the statistics of the batch, in the order of the convolutions. */
  readonly observe?: (mean: tf.Tensor1D, variance: tf.Tensor1D) => void
}

function scoresOf(variables: readonly tf.Tensor[], images: tf.Tensor4D, how: Normalization = {}): tf.Tensor2D {
  let at = 0
  const next = (x: tf.Tensor4D): tf.Tensor4D => {
    const index = at++
    const [kernel, gamma, beta] = variables.slice(3 * index, 3 * index + 3)
    const sums = tf.conv2d(x, kernel as tf.Tensor4D, CONVOLUTIONS[index]!.stride, 'same')
    return normalized(sums, gamma as tf.Tensor1D, beta as tf.Tensor1D, index, how)
  }
  const stem = tf.relu(next(images))
  const narrow = tf.relu<tf.Tensor4D>(tf.add(stem, next(tf.relu(next(stem)))))
  const halved = next(tf.relu(next(narrow)))
  const wide = tf.relu<tf.Tensor4D>(tf.add(halved, next(narrow)))
  const last = tf.relu<tf.Tensor4D>(tf.add(wide, next(tf.relu(next(wide)))))
  const [classes, bias] = variables.slice(-2) as [tf.Tensor2D, tf.Tensor1D]
  return tf.add(tf.matMul(tf.mean<tf.Tensor2D>(last, [1, 2]), classes), bias)
}

function normalized(
  x: tf.Tensor4D,
  gamma: tf.Tensor1D,
  beta: tf.Tensor1D,
  index: number,
  { statistics, observe }: Normalization,
): tf.Tensor4D {
  const known = statistics?.[index]
  if (known !== undefined) return tf.batchNorm(x, known[0], known[1], beta, gamma, EPSILON)
  const { mean, variance } = tf.moments(x, [0, 1, 2])
  observe?.(mean as tf.Tensor1D, variance as tf.Tensor1D)
  return tf.batchNorm(x, mean as tf.Tensor1D, variance as tf.Tensor1D, beta, gamma, EPSILON)
}

/** The mean statistics of batches of training images; to be disposed. */
function statisticsOf(variables: readonly tf.Tensor[], training: Examples): Statistics {
  const batches: [tf.Tensor1D, tf.Tensor1D][][] = []
  forBatches(training, STATISTICS_COUNT, (images) => {
    const batch: [tf.Tensor1D, tf.Tensor1D][] = []
    scoresOf(variables, images, { observe: (mean, variance) => batch.push([tf.keep(mean), tf.keep(variance)]) })
    batches.push(batch)
  })
  const meanOf = (index: number, which: 0 | 1): tf.Tensor1D =>
    tf.tidy(() => tf.mean(tf.stack(batches.map((batch) => batch[index]![which])), 0))
  const statistics = CONVOLUTIONS.map((_, index) => [meanOf(index, 0), meanOf(index, 1)] as const)
  tf.dispose(batches.flat(2))
  return statistics
}
