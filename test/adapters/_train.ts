/** A small least-squares problem that differs from rank to rank, and plain TensorFlow.js as the reference for it. */
import * as tf from '@tensorflow/tfjs-core'
import type { ReduceOp } from '../../ts/src/types.ts'
import { gaussian, reduceOf } from '../optim/_oracle.ts'

export const SEGMENTS = [12, 3]
const [FEATURES, OUTPUTS, SAMPLES] = [4, 3, 8]

/** Kernel and bias, equal on all ranks unless another seed is given. */
export function makeVariables(seed = 1): tf.Variable[] {
  return tf.tidy(() => {
    const kernel = tf.tensor(gaussian(FEATURES * OUTPUTS, seed), [FEATURES, OUTPUTS])
    return [tf.variable(kernel), tf.variable(tf.tensor1d(gaussian(OUTPUTS, seed + 1)))]
  })
}

/** Mean squared error of a linear model on the samples that a rank has for a step. */
export function lossOn([kernel, bias]: readonly tf.Variable[], rank: number, step: number): () => tf.Scalar {
  const seed = 1000 + 100 * rank + 2 * step
  return () => {
    const x = tf.tensor(gaussian(SAMPLES * FEATURES, seed), [SAMPLES, FEATURES])
    const y = tf.tensor(gaussian(SAMPLES * OUTPUTS, seed + 1), [SAMPLES, OUTPUTS])
    const predicted: tf.Tensor = tf.add(tf.matMul(x, kernel!), bias!)
    return tf.mean(tf.squaredDifference(predicted, y))
  }
}

export function valuesOf(variables: readonly tf.Tensor[]): Float32Array {
  return Float32Array.from(variables.flatMap((variable) => [...variable.dataSync()]))
}

export function assignValues(variables: readonly tf.Variable[], values: ArrayLike<number>): void {
  let offset = 0
  for (const variable of variables) {
    const part = Float32Array.from({ length: variable.size }, (_, i) => values[offset + i]!)
    tf.tidy(() => variable.assign(tf.tensor(part, variable.shape)))
    offset += variable.size
  }
}

export function gradientOn(variables: readonly tf.Variable[], loss: () => tf.Scalar): Float32Array {
  return tf.tidy(() => {
    const { grads } = tf.variableGrads(loss, [...variables])
    return valuesOf(variables.map(({ name }) => grads[name]!))
  })
}

export interface Reference {
  op: ReduceOp
  size: number
  rounds: number
  localSteps: number
  makeOptimizer: () => tf.Optimizer
}

/** Weights after rounds of local steps of plain optimizers, whose deltas are combined in f64. */
export function deltaReference({ op, size, rounds, localSteps, makeOptimizer }: Reference): Float32Array {
  const replicas = Array.from({ length: size }, () => ({ variables: makeVariables(), optimizer: makeOptimizer() }))
  for (let round = 0; round < rounds; round++) {
    const start = valuesOf(replicas[0]!.variables)
    const deltas = replicas.map(({ variables, optimizer }, rank) => {
      for (let step = round * localSteps; step < (round + 1) * localSteps; step++)
        optimizer.minimize(lossOn(variables, rank, step), false, variables)
      return valuesOf(variables).map((value, i) => value - start[i]!)
    })
    const combined = reduceOf(op, deltas, SEGMENTS)
    for (const { variables } of replicas) assignValues(variables, start.map((value, i) => value + combined[i]!)) // prettier-ignore
  }
  const result = valuesOf(replicas[0]!.variables)
  for (const { variables, optimizer } of replicas) {
    tf.dispose(variables)
    optimizer.dispose()
  }
  return result
}
