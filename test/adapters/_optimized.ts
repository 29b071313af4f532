/** Variables of four shapes and their gradients, and a small model: what optimizers of TensorFlow.js are tried on. */
import type { ExecutionContext } from 'ava'
import * as tf from '@tensorflow/tfjs-core'
import * as layers from '@tensorflow/tfjs-layers'
import { gaussian } from '../optim/_oracle.ts'
import { valuesOf } from './_train.ts'

export const SHAPES: readonly (readonly number[])[] = [[40, 31], [31], [3, 3, 2, 5], []]
const sizeOf = (shape: readonly number[]): number => tf.util.sizeFromShape([...shape])

/** Parts of a flat array, in the shapes. */
export function partsOf(values: Float32Array): Float32Array[] {
  let offset = 0
  return SHAPES.map((shape) => values.slice(offset, (offset += sizeOf(shape))))
}

const tensorsOf = (values: Float32Array): tf.Tensor[] =>
  partsOf(values).map((part, i) => tf.tensor(part, [...SHAPES[i]!]))

export const variablesFrom = (values: Float32Array): tf.Variable[] =>
  tf.tidy(() => tensorsOf(values).map((tensor) => tf.variable(tensor)))

export const LENGTH = SHAPES.reduce((sum, shape) => sum + sizeOf(shape), 0)
/** Every seventh element is 0 in all steps. */
export const gradientOf = (step: number): Float32Array =>
  gaussian(LENGTH, 100 + step).map((value, i) => (i % 7 === 3 ? 0 : value * 0.3))

export function apply(optimizer: tf.Optimizer, variables: readonly tf.Variable[], gradient: Float32Array): void {
  tf.tidy(() => {
    const tensors = tensorsOf(gradient)
    optimizer.applyGradients(variables.map(({ name }, i) => ({ name, tensor: tensors[i]! })))
  })
}

export const FIT = { batchSize: 8, epochs: 4, shuffle: false, verbose: 0 } as const

export function makeModel(optimizer: tf.Optimizer): layers.Sequential {
  const model = layers.sequential()
  const kernelInitializer = layers.initializers.glorotUniform({ seed: 3 })
  model.add(layers.layers.dense({ units: 12, inputShape: [6], activation: 'tanh', kernelInitializer }))
  model.add(layers.layers.dense({ units: 1, kernelInitializer }))
  model.compile({ optimizer, loss: 'meanSquaredError' })
  return model
}

export function samples(t: ExecutionContext): [x: tf.Tensor, y: tf.Tensor] {
  const x = tf.tensor(gaussian(64 * 6, 5), [64, 6])
  const y = tf.tidy(() => tf.sum(tf.mul(x, tf.tensor1d([1, -1, 0.5, 0, 2, 0])), 1, true))
  t.teardown(() => tf.dispose([x, y]))
  return [x, y]
}

export const modelWeights = (model: layers.LayersModel): Float32Array =>
  valuesOf(model.weights.map((weight) => weight.read()))

/** What a file would hold. */
export async function saved(model: layers.LayersModel): Promise<tf.io.ModelArtifacts> {
  let kept: tf.io.ModelArtifacts | undefined
  const handler = tf.io.withSaveHandler(async (artifacts) => {
    kept = artifacts
    return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: 'JSON' } }
  })
  await model.save(handler, { includeOptimizer: true })
  const { weightData, ...texts } = kept!
  return { ...(JSON.parse(JSON.stringify(texts)) as tf.io.ModelArtifacts), weightData: weightData! }
}
