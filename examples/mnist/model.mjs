/**
 * LeNet-5 (LeCun and others 1998) with today's usual parts, ReLU and max pooling: two 5x5 convolutions of 6 and 16
 * filters, then 120, 84 and 10 units. 61,706 parameters in ten tensors.
 */
import * as tf from '@tensorflow/tfjs-core'
import { initializers, layers, sequential } from '@tensorflow/tfjs-layers'
import { CLASSES, IMAGE_SIDE } from './data.mjs'

/**
 * @param {number} seed of the initial weights: equal seeds, equal weights
 * @returns {import('@tensorflow/tfjs-layers').Sequential}
 */
export function createLeNet5(seed) {
  let drawn = 0
  const kernelInitializer = () => initializers.heNormal({ seed: seed * 1000 + ++drawn })
  const conv = (name, shape) =>
    layers.conv2d({ name, kernelSize: 5, activation: 'relu', kernelInitializer: kernelInitializer(), ...shape })
  const dense = (name, units, activation = {}) =>
    layers.dense({ name, units, kernelInitializer: kernelInitializer(), ...activation })
  return sequential({
    layers: [
      conv('conv1', { filters: 6, padding: 'same', inputShape: [IMAGE_SIDE, IMAGE_SIDE, 1] }),
      layers.maxPooling2d({ poolSize: 2 }),
      conv('conv2', { filters: 16 }),
      layers.maxPooling2d({ poolSize: 2 }),
      layers.flatten(),
      dense('dense1', 120, { activation: 'relu' }),
      dense('dense2', 84, { activation: 'relu' }),
      dense('output', CLASSES),
    ],
  })
}

/**
 * Mean cross-entropy of a batch: a scalar.
 *
 * @param {import('@tensorflow/tfjs-layers').Sequential} model
 * @param {tf.Tensor4D} images
 * @param {tf.Tensor2D} oneHotLabels
 */
export function lossOf(model, images, oneHotLabels) {
  const logits = model.apply(images, { training: true })
  return tf.neg(tf.mean(tf.sum(tf.mul(oneHotLabels, tf.logSoftmax(logits)), -1)))
}
