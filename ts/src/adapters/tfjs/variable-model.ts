import * as tf from '@tensorflow/tfjs-core'
import type { Gradients, TrainedModel } from '../../training/trained-model.ts'
import { readTensor, VariableWeights } from './variable-weights.ts'

/** Variables and the optimizer that steps them. */
export class VariableModel extends VariableWeights implements TrainedModel<tf.Tensor> {
  readonly #optimizer: tf.Optimizer

  constructor(optimizer: tf.Optimizer, variables: readonly tf.Variable[]) {
    super(variables)
    this.#optimizer = optimizer
  }

  addGradient(sum: tf.Tensor | undefined, gradient: tf.Tensor): tf.Tensor {
    if (sum === undefined) return tf.keep(gradient)
    const total = replace(sum, tf.add(sum, gradient))
    gradient.dispose()
    return tf.keep(total)
  }

  divideGradient(sum: tf.Tensor, count: number): tf.Tensor {
    return replace(sum, tf.div(sum, count))
  }

  readGradient(gradient: tf.Tensor, target: Float32Array): Promise<void> {
    return readTensor(gradient, target)
  }

  disposeGradient(gradient: tf.Tensor): void {
    gradient.dispose()
  }

  /** As tf.Optimizer.minimize does it: a list in fixed order, because optimizers keep their state by position. */
  step(gradients: Gradients<tf.Tensor>): void {
    const named = this.variables.map(({ name }, index) => ({ name, tensor: gradients[index] as tf.Tensor }))
    this.#optimizer.applyGradients(named)
  }

  stepCombined(gradients: readonly Float32Array[]): void {
    tf.tidy(() => this.step(this.tensorsOf(gradients)))
  }
}

function replace(old: tf.Tensor, fresh: tf.Tensor): tf.Tensor {
  old.dispose()
  return fresh
}
