/** Batches of images, and how well a model classifies them; whatever model it is. */
import * as tf from '@tensorflow/tfjs-core'
import { type Examples, mnist } from './images.ts'

export const CLASSES = 10
const SIDE = 28
const EVALUATION_BATCH = 500

/** A model at its present weights. */
export interface Classifier {
  /** Something that grows with the probability of each class: [images, classes]. */
  scoresOf(images: tf.Tensor4D): tf.Tensor2D
  /** The mean cross-entropy. */
  lossOf(images: tf.Tensor4D, oneHotLabels: tf.Tensor2D): tf.Scalar
}

/** Images [indices, 28, 28, 1], and their labels one-hot [indices, 10]. */
export function batchOf(examples: Examples, indices: Uint32Array): [tf.Tensor4D, tf.Tensor2D] {
  const images = tf.tensor4d(mnist.pixelsOf(examples, indices), [indices.length, SIDE, SIDE, 1])
  const labels = tf.tidy(() => {
    const classes = tf.tensor1d(mnist.labelsOf(examples, indices), 'int32')
    return tf.cast(tf.oneHot(classes, CLASSES), 'float32') as tf.Tensor2D
  })
  return [images, labels]
}

/** Calls `use` with batches of the first `count` images, one after the other. */
export function forBatches(
  examples: Examples,
  count: number,
  use: (images: tf.Tensor4D, oneHotLabels: tf.Tensor2D, indices: Uint32Array) => void,
): void {
  for (let begin = 0; begin < count; begin += EVALUATION_BATCH) {
    const size = Math.min(EVALUATION_BATCH, count - begin)
    const indices = Uint32Array.from({ length: size }, (_, index) => begin + index)
    const [images, labels] = batchOf(examples, indices)
    tf.tidy(() => use(images, labels, indices))
    tf.dispose([images, labels])
  }
}

/** Accuracy and mean loss on the first `count` images. */
export function evaluateOn(
  examples: Examples,
  count: number,
  classifier: Classifier,
): { accuracy: number; loss: number } {
  let [right, loss] = [0, 0]
  forBatches(examples, count, (images, labels, indices) => {
    loss += classifier.lossOf(images, labels).dataSync()[0]! * indices.length
    const found = tf.argMax(classifier.scoresOf(images), -1).dataSync()
    mnist.labelsOf(examples, indices).forEach((label, index) => (right += Number(label === found[index])))
  })
  return { accuracy: right / count, loss: loss / count }
}
