/**
 * A transformer that predicts the next character, of the sizes of examples/characters: 64 wide, two layers of four heads, 64
 * characters to look back. TensorFlow.js's backend for Node.js trains it.
 */
import * as tf from '@tensorflow/tfjs-core'
import type { Cell } from './cell.ts'
import { crossEntropy } from './cross-entropy.ts'
import { type Model, offsetsOf } from './model.ts'
import { type Labelled, meansOf, probeAccuracy } from './probe.ts'
import { normalNumbers } from './random.ts'
import { type Pieces, readPieces } from './text.ts'
import { assignAll, gradientInto } from './tf-variables.ts'

const CONTEXT = 64
const WIDTH = 64
const HEADS = 4
const LAYERS = 2
const EVALUATION_BATCH = 32
const EPSILON = 1e-5

export async function makeCharacters(): Promise<Model> {
  const pieces = await readPieces(CONTEXT)
  const segments = segmentsFor(pieces.characterCount)
  const offsets = offsetsOf(segments)
  const variables = segments.map(({ shape }) => tf.variable(tf.zeros([...shape])))
  return {
    segments,
    elementCount: offsets.at(-1)!,
    chance: 1 / pieces.characterCount,
    async initial(seed) {
      const next = normalNumbers(seed)
      const parts = segments.map(({ shape }) => {
        const size = tf.util.sizeFromShape(shape)
        return Array.from({ length: size }, () => next() / Math.sqrt(shape[0]!))
      })
      return Float32Array.from(parts.flat())
    },
    load(weights) {
      assignAll(variables, offsets, weights)
    },
    async gradient(indices, target) {
      const { inputs, targets } = pieces.take('training', indices)
      return gradientInto(target, variables, offsets, () => lossOf(logitsOf(variables, inputs), targets))
    },
    evaluate: async (split, count) => evaluate(variables, pieces, split, count),
    async probe(count, together) {
      const [training, test] = (['validation', 'test'] as const).map((split) =>
        meansOf(novelsBy(variables, pieces, split, count), WIDTH, together),
      )
      return probeAccuracy(training!, test!, WIDTH, pieces.novelCount)
    },
  }
}

/** In the order in which `logitsOf` takes them. */
function segmentsFor(characterCount: number): { name: string; shape: number[] }[] {
  const layers = Array.from({ length: LAYERS }, (_, layer) => [
    { name: `attention${layer}`, shape: [WIDTH, 3 * WIDTH] },
    { name: `output${layer}`, shape: [WIDTH, WIDTH] },
    { name: `up${layer}`, shape: [WIDTH, 4 * WIDTH] },
    { name: `down${layer}`, shape: [4 * WIDTH, WIDTH] },
  ])
  return [
    { name: 'characters', shape: [characterCount, WIDTH] },
    { name: 'positions', shape: [CONTEXT, WIDTH] },
    ...layers.flat(),
    { name: 'logits', shape: [WIDTH, characterCount] },
  ]
}

/** Logits of all places, one a row. */
function logitsOf(variables: readonly tf.Tensor[], inputs: Int32Array): tf.Tensor2D {
  return tf.matMul(featuresOf(variables, inputs), variables.at(-1) as tf.Tensor2D)
}

/** What the model makes of all places before it predicts, one a row. */
function featuresOf(variables: readonly tf.Tensor[], inputs: Int32Array): tf.Tensor2D {
  const [characters, positions, ...others] = variables as tf.Tensor2D[]
  const batch = inputs.length / CONTEXT
  const rows = tf.matMul(tf.cast(tf.oneHot(tf.tensor1d(inputs, 'int32'), characters!.shape[0]), 'float32'), characters!)
  const placed = tf.add(tf.reshape(rows, [batch, CONTEXT, WIDTH]), positions!)
  let x = tf.reshape<tf.Rank.R2>(placed, [-1, WIDTH])
  for (let layer = 0; layer < LAYERS; layer++) {
    const [attention, output, up, down] = others.slice(4 * layer, 4 * layer + 4)
    x = tf.add(x, tf.matMul(attend(tf.matMul(standardize(x), attention!), batch), output!))
    x = tf.add(x, tf.matMul(gelu(tf.matMul(standardize(x), up!)), down!))
  }
  return standardize(x)
}

/** Each character looks at itself and at those before it. */
function attend(projected: tf.Tensor2D, batch: number): tf.Tensor2D {
  const [queries, keys, values] = tf
    .split(projected, 3, 1)
    .map((part) => tf.transpose(tf.reshape(part, [batch, CONTEXT, HEADS, WIDTH / HEADS]), [0, 2, 1, 3]))
  const scores = tf.mul(tf.matMul(queries!, keys!, false, true), 1 / Math.sqrt(WIDTH / HEADS))
  const weights = tf.softmax(tf.add(scores, laterPlaces()))
  return tf.reshape(tf.transpose(tf.matMul(weights, values!), [0, 2, 1, 3]), [-1, WIDTH])
}

let mask: tf.Tensor2D | undefined

/** What takes places that come later out of a softmax. */
function laterPlaces(): tf.Tensor2D {
  const isLater = (index: number): boolean => index % CONTEXT > Math.floor(index / CONTEXT)
  const values = (): Float32Array =>
    Float32Array.from({ length: CONTEXT ** 2 }, (_, index) => (isLater(index) ? -1e9 : 0))
  return (mask ??= tf.keep(tf.tensor2d(values(), [CONTEXT, CONTEXT])))
}

function standardize(x: tf.Tensor2D): tf.Tensor2D {
  const { mean, variance } = tf.moments(x, 1, true)
  return tf.div(tf.sub(x, mean), tf.sqrt(tf.add(variance, EPSILON)))
}

function gelu(x: tf.Tensor2D): tf.Tensor2D {
  return tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1))
}

function lossOf(logits: tf.Tensor2D, targets: Int32Array): tf.Scalar {
  return crossEntropy(logits, tf.oneHot(tf.tensor1d(targets, 'int32'), logits.shape[1]) as tf.Tensor2D)
}

function evaluate(
  variables: readonly tf.Tensor[],
  pieces: Pieces,
  split: Cell['split'],
  count: number,
): { accuracy: number; loss: number } {
  let [right, loss] = [0, 0]
  for (let begin = 0; begin < count; begin += EVALUATION_BATCH) {
    const size = Math.min(EVALUATION_BATCH, count - begin)
    const { inputs, targets } = pieces.take(
      split,
      Uint32Array.from({ length: size }, (_, index) => begin + index),
    )
    tf.tidy(() => {
      const logits = logitsOf(variables, inputs)
      loss += lossOf(logits, targets).dataSync()[0]! * size
      const found = tf.argMax(logits, 1).dataSync()
      targets.forEach((code, index) => (right += Number(code === found[index])))
    })
  }
  return { accuracy: right / (count * CONTEXT), loss: loss / count }
}

/** The mean features of pieces, and the novels that they are from. */
function novelsBy(
  variables: readonly tf.Tensor[],
  pieces: Pieces,
  split: 'validation' | 'test',
  count: number,
): Labelled {
  const features = new Float32Array(count * WIDTH)
  const all = Uint32Array.from({ length: count }, (_, index) => index)
  for (let begin = 0; begin < count; begin += EVALUATION_BATCH) {
    const { inputs } = pieces.take(split, all.subarray(begin, begin + EVALUATION_BATCH))
    const means = tf.tidy(() => tf.mean(tf.reshape(featuresOf(variables, inputs), [-1, CONTEXT, WIDTH]), 1).dataSync())
    features.set(means, begin * WIDTH)
  }
  return { features, labels: pieces.novelsOf(split, all) }
}
