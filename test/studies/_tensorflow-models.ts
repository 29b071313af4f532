/** The models of the studies in operations of TensorFlow.js, for comparison: losses and gradients of one batch. */
import '@tensorflow/tfjs-backend-cpu'
// Registers gradients.
import '@tensorflow/tfjs-layers'
import * as tf from '@tensorflow/tfjs-core'

export type Segments = readonly { readonly name: string; readonly shape: number[] }[]

export interface Slope {
  readonly loss: number
  readonly gradient: Float32Array
}

type Weights = readonly tf.Tensor[]

/** The slope of the mean cross-entropy of scores, which a model makes of its weights. */
export function slopeOf(
  segments: Segments,
  weights: Float32Array,
  labels: Int32Array,
  scoresOf: (weights: Weights) => tf.Tensor2D,
): Slope {
  return tf.tidy(() => {
    let at = 0
    const variables = segments.map(({ shape }) => {
      const begin = at
      at += tf.util.sizeFromShape(shape)
      return tf.tensor(weights.slice(begin, at), shape)
    })
    const loss = (...tensors: tf.Tensor[]): tf.Scalar => {
      const scores = scoresOf(tensors)
      const oneHot = tf.oneHot(tf.tensor1d(labels, 'int32'), scores.shape[1])
      return tf.neg(tf.mean(tf.sum(tf.mul(oneHot, tf.logSoftmax(scores)), 1)))
    }
    const { value, grads } = tf.valueAndGrads(loss)(variables)
    const gradient = Float32Array.from(grads.flatMap((each) => [...each.dataSync()]))
    return { loss: value.dataSync()[0]!, gradient }
  })
}

export function lenetScores(weights: Weights, images: Float32Array): tf.Tensor2D {
  const [kernel1, bias1, kernel2, bias2, ...dense] = weights
  const pixels = tf.tensor4d(images, [images.length / 784, 28, 28, 1])
  const convolved = (x: tf.Tensor4D, kernel: tf.Tensor, bias: tf.Tensor, padding: 'same' | 'valid'): tf.Tensor4D =>
    tf.maxPool<tf.Tensor4D>(tf.relu(tf.add(tf.conv2d(x, kernel as tf.Tensor4D, 1, padding), bias)), 2, 2, 'valid')
  const places = convolved(convolved(pixels, kernel1!, bias1!, 'same'), kernel2!, bias2!, 'valid')
  let x = tf.reshape<tf.Rank.R2>(places, [-1, 400])
  for (let layer = 0; layer < 3; layer++) {
    x = tf.add(tf.matMul(x, dense[2 * layer] as tf.Tensor2D), dense[2 * layer + 1]!)
    if (layer < 2) x = tf.relu(x)
  }
  return x
}

/** Strides of the convolutions, in the order of the weights: stem, narrow, halving, shortcut, wide. */
const STRIDES = [2, 1, 1, 2, 1, 2, 1, 1]

export function residualScores(weights: Weights, images: Float32Array): tf.Tensor2D {
  let at = 0
  const next = (x: tf.Tensor4D): tf.Tensor4D => {
    const [kernel, gamma, beta] = weights.slice(3 * at, 3 * at + 3)
    const sums = tf.conv2d(x, kernel as tf.Tensor4D, STRIDES[at++]!, 'same')
    const { mean, variance } = tf.moments(sums, [0, 1, 2])
    return tf.batchNorm(
      sums,
      mean as tf.Tensor1D,
      variance as tf.Tensor1D,
      beta as tf.Tensor1D,
      gamma as tf.Tensor1D,
      1e-3,
    )
  }
  const stem = tf.relu(next(tf.tensor4d(images, [images.length / 784, 28, 28, 1])))
  const narrow = tf.relu<tf.Tensor4D>(tf.add(stem, next(tf.relu(next(stem)))))
  const halved = next(tf.relu(next(narrow)))
  const wide = tf.relu<tf.Tensor4D>(tf.add(halved, next(narrow)))
  const last = tf.relu<tf.Tensor4D>(tf.add(wide, next(tf.relu(next(wide)))))
  const [classes, bias] = weights.slice(-2) as [tf.Tensor2D, tf.Tensor1D]
  return tf.add(tf.matMul(tf.mean<tf.Tensor2D>(last, [1, 2]), classes), bias)
}

const [CONTEXT, WIDTH, HEADS, LAYERS] = [64, 64, 4, 2]

export function characterScores(weights: Weights, codes: Int32Array): tf.Tensor2D {
  const [characters, positions, ...others] = weights as tf.Tensor2D[]
  const batch = codes.length / CONTEXT
  const rows = tf.matMul(tf.cast(tf.oneHot(tf.tensor1d(codes, 'int32'), characters!.shape[0]), 'float32'), characters!)
  let x = tf.reshape<tf.Rank.R2>(tf.add(tf.reshape(rows, [batch, CONTEXT, WIDTH]), positions!), [-1, WIDTH])
  for (let layer = 0; layer < LAYERS; layer++) {
    const [attention, output, up, down] = others.slice(4 * layer, 4 * layer + 4)
    x = tf.add(x, tf.matMul(attend(tf.matMul(standardize(x), attention!), batch), output!))
    x = tf.add(x, tf.matMul(gelu(tf.matMul(standardize(x), up!)), down!))
  }
  return tf.matMul(standardize(x), others.at(-1)!)
}

function attend(projected: tf.Tensor2D, batch: number): tf.Tensor2D {
  const [queries, keys, values] = tf
    .split(projected, 3, 1)
    .map((part) => tf.transpose(tf.reshape(part, [batch, CONTEXT, HEADS, WIDTH / HEADS]), [0, 2, 1, 3]))
  const later = Float32Array.from({ length: CONTEXT ** 2 }, (_, index) =>
    index % CONTEXT > Math.floor(index / CONTEXT) ? -1e9 : 0,
  )
  const scores = tf.mul(tf.matMul(queries!, keys!, false, true), 1 / Math.sqrt(WIDTH / HEADS))
  const shares = tf.softmax(tf.add(scores, tf.tensor2d(later, [CONTEXT, CONTEXT])))
  return tf.reshape(tf.transpose(tf.matMul(shares, values!), [0, 2, 1, 3]), [-1, WIDTH])
}

function standardize(x: tf.Tensor2D): tf.Tensor2D {
  const { mean, variance } = tf.moments(x, 1, true)
  return tf.div(tf.sub(x, mean), tf.sqrt(tf.add(variance, 1e-5)))
}

function gelu(x: tf.Tensor2D): tf.Tensor2D {
  return tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1))
}
