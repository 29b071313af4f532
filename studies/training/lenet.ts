/** LeNet-5, as the example has it, on whatever backend of TensorFlow.js this process has. */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as tf from '@tensorflow/tfjs-core'
import type { Sequential } from '@tensorflow/tfjs-layers'
import type { Cell } from './cell.ts'
import { type Examples, mnist, readImages } from './images.ts'
import { type Model, offsetsOf } from './model.ts'
import { assignAll, gradientInto } from './tf-variables.ts'

const SIDE = 28
const CLASSES = 10
const EVALUATION_BATCH = 500

/** The part of examples/mnist/model.mjs that is used here. */
interface LeNet {
  createLeNet5: (seed: number) => Sequential
  lossOf: (model: Sequential, images: tf.Tensor4D, oneHotLabels: tf.Tensor2D) => tf.Scalar
}

export async function makeLeNet(data: Cell['data']): Promise<Model> {
  const { createLeNet5, lossOf } = (await import(
    join(fileURLToPath(new URL('../../', import.meta.url)), 'examples', 'mnist', 'model.mjs')
  )) as LeNet
  const splits = await readImages(data)
  const model = createLeNet5(0)
  const variables = model.trainableWeights.map((weight) => weight.read() as tf.Variable)
  const segments = variables.map(({ shape }, index) => ({ name: String(index), shape }))
  const offsets = offsetsOf(segments)
  return {
    segments,
    elementCount: offsets.at(-1)!,
    chance: 1 / CLASSES,
    async initial(seed) {
      const other = createLeNet5(seed)
      const weights = Float32Array.from(other.getWeights().flatMap((weight) => [...weight.dataSync()]))
      other.dispose()
      return weights
    },
    load(weights) {
      assignAll(variables, offsets, weights)
    },
    async gradient(indices, target) {
      const [images, labels] = batchOf(splits.training, indices)
      const loss = gradientInto(target, variables, offsets, () => lossOf(model, images, labels))
      tf.dispose([images, labels])
      return loss
    },
    evaluate: async (split, count) => evaluate(model, lossOf, splits[split], count),
  }
}

function batchOf(examples: Examples, indices: Uint32Array): [tf.Tensor4D, tf.Tensor2D] {
  const images = tf.tensor4d(mnist.pixelsOf(examples, indices), [indices.length, SIDE, SIDE, 1])
  const labels = tf.tidy(() => {
    const classes = tf.tensor1d(mnist.labelsOf(examples, indices), 'int32')
    return tf.cast(tf.oneHot(classes, CLASSES), 'float32') as tf.Tensor2D
  })
  return [images, labels]
}

function evaluate(
  model: Sequential,
  lossOf: LeNet['lossOf'],
  examples: Examples,
  count: number,
): { accuracy: number; loss: number } {
  let [right, loss] = [0, 0]
  for (let begin = 0; begin < count; begin += EVALUATION_BATCH) {
    const size = Math.min(EVALUATION_BATCH, count - begin)
    const indices = Uint32Array.from({ length: size }, (_, index) => begin + index)
    const [images, labels] = batchOf(examples, indices)
    tf.tidy(() => {
      loss += lossOf(model, images, labels).dataSync()[0]! * size
      const found = tf.argMax(model.apply(images) as tf.Tensor, -1).dataSync()
      mnist.labelsOf(examples, indices).forEach((label, index) => (right += Number(label === found[index])))
    })
    tf.dispose([images, labels])
  }
  return { accuracy: right / count, loss: loss / count }
}
