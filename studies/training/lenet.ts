/** LeNet-5, as the example has it, on whatever backend of TensorFlow.js this process has. */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as tf from '@tensorflow/tfjs-core'
import type { Sequential } from '@tensorflow/tfjs-layers'
import type { Cell } from './cell.ts'
import { CLASSES, batchOf, evaluateOn } from './classification.ts'
import { readImages } from './images.ts'
import { type Model, offsetsOf } from './model.ts'
import { assignAll, gradientInto } from './tf-variables.ts'

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
    evaluate: async (split, count) =>
      evaluateOn(splits[split], count, {
        scoresOf: (images) => model.apply(images) as tf.Tensor2D,
        lossOf: (images, labels) => lossOf(model, images, labels),
      }),
  }
}
