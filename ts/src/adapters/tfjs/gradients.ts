import * as tf from '@tensorflow/tfjs-core'
import { AdasumError } from '../../errors.ts'
import { trainableVariables } from './variables.ts'

/** The loss of a batch, made of the variables that are trained. */
export type LossFunction = () => tf.Scalar

/**
 * Loss and gradients by name, as tf.Optimizer.minimize computes them.
 *
 * @param lossScale - what the gradients, but not the loss, are multiplied by
 */
export function gradientsOf(
  optimizer: tf.Optimizer,
  f: LossFunction,
  variables: readonly tf.Variable[] | undefined,
  lossScale: number,
): { value: tf.Scalar; grads: tf.NamedTensorMap } {
  if (typeof f !== 'function') throw new AdasumError('ERR_ARGUMENT', `f is ${typeof f}; it must be a function.`)
  if (lossScale === 1) return optimizer.computeGradients(() => synchronous(f()), trainableOnly(variables))
  let loss: tf.Scalar | undefined
  const scaled = (): tf.Scalar => {
    const value = synchronous(f())
    // The scaled one may be infinite.
    loss = tf.keep(tf.clone(value))
    return tf.mul(value, lossScale)
  }
  try {
    const { value, grads } = optimizer.computeGradients(scaled, trainableOnly(variables))
    value.dispose()
    return { value: loss!, grads }
  } catch (error) {
    loss?.dispose()
    throw error
  }
}

function synchronous(loss: tf.Scalar): tf.Scalar {
  if (typeof (loss as unknown as Partial<Promise<unknown>> | undefined)?.then !== 'function') return loss
  throw new AdasumError('ERR_ARGUMENT', 'f returned a promise; it must return the loss as a scalar tensor.')
}

function trainableOnly(variables: readonly tf.Variable[] | undefined): tf.Variable[] | undefined {
  if (variables === undefined) return undefined
  if (Array.isArray(variables)) return trainableVariables(variables)
  throw new AdasumError('ERR_ARGUMENT', `variables is ${typeof variables}; it must be an array of tf.Variable.`)
}

/**
 * The variables that an optimizer is to train: those given, or else all trainable ones of the process that have a
 * gradient, in the order in which they were made.
 */
export function selectVariables(
  variables: readonly tf.Variable[] | undefined,
  grads: tf.NamedTensorMap,
): tf.Variable[] {
  const all = Object.values(tf.engine().registeredVariables)
  return trainableOnly(variables) ?? trainableVariables(all.filter(({ name }) => grads[name] !== undefined))
}

/**
 * Checks that a call has the variables of the first one: the optimizer's state and the exchange go by position.
 *
 * @param first - the variables of the first call
 * @throws AdasumError ERR_ARGUMENT
 */
export function checkVariables(
  first: readonly tf.Variable[],
  variables: readonly tf.Variable[] | undefined,
  grads: tf.NamedTensorMap,
): void {
  const given = trainableOnly(variables)
  if (
    given !== undefined &&
    (given.length !== first.length || given.some((variable, index) => variable !== first[index]))
  )
    throw new AdasumError(
      'ERR_ARGUMENT',
      `the ${given.length} variables are not the ${first.length} of the first call. Use one optimizer for each list.`,
    )
  const names = new Set(first.map(({ name }) => name))
  const stranger = Object.keys(grads).find((name) => !names.has(name))
  if (stranger !== undefined)
    throw new AdasumError(
      'ERR_ARGUMENT',
      `variable ${stranger} has a gradient now and had none in the first call. Pass all variables as second argument.`,
    )
}

/** The loss as a number; the tensor is disposed of. */
export async function lossOf(value: tf.Scalar): Promise<number> {
  try {
    return (await value.data())[0]!
  } finally {
    value.dispose()
  }
}
