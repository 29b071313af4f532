/** The gradients of a step, as tf.Optimizer.applyGradients takes them, and their norm, which stays a tensor. */
import * as tf from '@tensorflow/tfjs-core'
import { AdasumError, inspect } from '../../../errors.ts'
import type { NamedTensor } from './moments.ts'

/** There is no gradient where the loss does not depend on the variable. */
export type VariableGradient = readonly [variable: tf.Variable, gradient: tf.Tensor | undefined]

/** Variables with their gradients, from both forms that tf.Optimizer.minimize makes. */
export function variableGradients(given: tf.NamedTensorMap | NamedTensor[]): VariableGradient[] {
  const list = Array.isArray(given) ? given : Object.entries(given).map(([name, tensor]) => ({ name, tensor }))
  const { registeredVariables } = tf.engine()
  return list.map(({ name, tensor }) => {
    const variable = registeredVariables[name]
    if (variable === undefined)
      throw new AdasumError(
        'ERR_ARGUMENT',
        `there is no variable ${inspect(name)}. Pass gradients by variables' names.`,
      )
    const gradient = tensor as tf.Tensor | null | undefined
    if (gradient && !tf.util.arraysEqual(gradient.shape, variable.shape))
      throw new AdasumError(
        'ERR_ARGUMENT',
        `the gradient of variable ${inspect(name)} is [${gradient.shape.join()}], and the variable [${variable.shape.join()}].`,
      )
    return [variable, gradient ?? undefined]
  })
}

/** What all gradients are multiplied by; undefined for nothing. */
export function clippingScale(gradients: readonly VariableGradient[], clipNorm: number): tf.Tensor | undefined {
  const present = gradients.flatMap(([, gradient]) => gradient ?? [])
  if (clipNorm === Infinity || present.length === 0) return undefined
  const norm = tf.sqrt(present.map(squaredNorm).reduce((sum, square) => tf.add(sum, square)))
  return tf.where(tf.greater(norm, clipNorm), tf.div(clipNorm, norm), 1)
}

/** A scalar. Rows come first: some backends add term by term in f32, and the error grows with the length. */
export function squaredNorm(tensor: tf.Tensor): tf.Tensor {
  const squares = tf.square(tensor)
  return tf.sum(tensor.rank > 1 ? tf.sum(squares, -1) : squares)
}
