// The trainings of these tests: small enough that tfjs's own cpu backend does them, too.

import * as tf from '@tensorflow/tfjs-node'
import { floats, integers } from './_reference.mjs'

/** @typedef {import('./_reference.mjs').Training} Training */

const SAMPLES = 16
const CLASSES = 3

/** A convolutional network whose batch normalisation has statistics, which are not trained. @type {Training} */
export const convolutions = {
  make: () => {
    const model = tf.sequential()
    model.add(tf.layers.conv2d({ inputShape: [8, 8, 2], filters: 4, kernelSize: 3, padding: 'same' }))
    model.add(tf.layers.batchNormalization({ momentum: 0.75 }))
    model.add(tf.layers.activation({ activation: 'relu' }))
    model.add(tf.layers.maxPooling2d({ poolSize: 2 }))
    model.add(tf.layers.conv2d({ filters: 5, kernelSize: 3, strides: 2 }))
    model.add(tf.layers.flatten())
    model.add(tf.layers.dense({ units: 2 }))
    model.compile({ optimizer: tf.train.momentum(0.02, 0.9), loss: 'meanSquaredError' })
    return model
  },
  shardOf: (rank) => ({ x: floats([SAMPLES, 8, 8, 2], rank + 1), y: floats([SAMPLES, 2], rank + 3) }),
  batchSize: 4,
  epochs: 2,
}

/** Words of int32, a table of vectors for them, and a network that remembers. @type {Training} */
export const sentences = {
  make: () => {
    const model = tf.sequential()
    model.add(tf.layers.embedding({ inputDim: 11, outputDim: 5, inputLength: 6 }))
    model.add(tf.layers.lstm({ units: 4 }))
    model.add(tf.layers.dense({ units: CLASSES, activation: 'softmax' }))
    model.compile({ optimizer: tf.train.adam(0.01), loss: 'sparseCategoricalCrossentropy' })
    return model
  },
  shardOf: (rank) => {
    const { shape, values } = integers([SAMPLES, 1], CLASSES, rank + 3)
    // The loss takes numbers of classes as float32 only.
    return { x: integers([SAMPLES, 6], 11, rank + 1), y: { shape, values: Float32Array.from(values) } }
  },
  batchSize: 4,
  epochs: 2,
}

/** @type {Training} */
export const small = {
  make: () => {
    const model = tf.sequential()
    model.add(tf.layers.dense({ inputShape: [6], units: 5, activation: 'tanh' }))
    model.add(tf.layers.dense({ units: 2 }))
    model.compile({ optimizer: tf.train.sgd(0.05), loss: 'meanSquaredError' })
    return model
  },
  shardOf: (rank) => ({ x: floats([SAMPLES, 6], rank + 1), y: floats([SAMPLES, 2], rank + 3) }),
  batchSize: 4,
  epochs: 3,
}

/** The same, but a model that is not sequential: its own `fit` runs the loop. @type {Training} */
export const functional = {
  ...small,
  make: () => {
    const input = tf.input({ shape: [6] })
    const hidden = tf.layers.dense({ units: 5, activation: 'tanh' }).apply(input)
    const output = tf.layers.dense({ units: 2 }).apply(hidden)
    const model = tf.model({ inputs: input, outputs: /** @type {tf.SymbolicTensor} */ (output) })
    model.compile({ optimizer: tf.train.sgd(0.05), loss: 'meanSquaredError' })
    return model
  },
}
