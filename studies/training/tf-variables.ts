/** The weights of a model of TensorFlow.js, which lie one behind the other in a flat array. */
import * as tf from '@tensorflow/tfjs-core'

/** Puts flat weights into the variables. @param offsets - where each begins, and the end of the last one */
export function assignAll(variables: readonly tf.Variable[], offsets: readonly number[], weights: Float32Array): void {
  variables.forEach((variable, index) => {
    const value = tf.tensor(weights.slice(offsets[index], offsets[index + 1]), variable.shape)
    variable.assign(value)
    value.dispose()
  })
}

/** Writes the gradient into `target`. Returns the loss. */
export function gradientInto(
  target: Float32Array,
  variables: tf.Variable[],
  offsets: readonly number[],
  loss: () => tf.Scalar,
): number {
  const { value, grads } = tf.variableGrads(loss, variables)
  variables.forEach(({ name }, index) => target.set(grads[name]!.dataSync(), offsets[index]))
  const [number] = value.dataSync()
  tf.dispose([value, grads])
  return number!
}
