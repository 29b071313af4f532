/** The loss of the models that are written in operations of TensorFlow.js. */
import * as tf from '@tensorflow/tfjs-core'

/** The mean over rows; `scores` are logarithms of probabilities, but for a constant a row. */
export const crossEntropy = (scores: tf.Tensor2D, oneHotLabels: tf.Tensor2D): tf.Scalar =>
  tf.neg(tf.mean(tf.sum(tf.mul(oneHotLabels, tf.logSoftmax(scores)), 1)))
