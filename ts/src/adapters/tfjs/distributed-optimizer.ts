import * as tf from '@tensorflow/tfjs-core'
import { AdasumError } from '../../errors.ts'
import { readOptions } from '../../tensor/check.ts'
import type { Collectives } from '../../training/collectives.ts'
import { type Batch, DistributedTrainer } from '../../training/distributed-trainer.ts'
import type { StepReduction } from '../../training/flat-exchange.ts'
import type { LossScaler } from '../../training/loss-scaler.ts'
import {
  BATCH_OPTIONS,
  type BatchOptions,
  type TrainerOptions,
  type TrainerWords,
} from '../../training/trainer-options.ts'
import { checkVariables, gradientsOf, lossOf, type LossFunction, selectVariables } from './gradients.ts'
import { VariableModel } from './variable-model.ts'

/** Options of `DistributedOptimizer`. */
export type DistributedOptimizerOptions = TrainerOptions

const WORDS: TrainerWords = {
  trainer: 'DistributedOptimizer',
  step: 'minimizeAsync()',
  sameWeights: 'Pass the same variables in the same order on every rank.',
  equalStart: 'Call broadcastWeights(model, comm) before the first step.',
}

/**
 * Trains the same model on all ranks with any optimizer of TensorFlow.js. It is not a tf.Optimizer itself, whose
 * methods cannot wait for a network: `model.compile` takes the plain optimizer, and `distribute` does the rest there.
 *
 * All ranks must begin with equal weights (`broadcastWeights`), pass the same variables in the same order and call
 * `minimizeAsync` equally often. The first exchange checks this: options, shapes and the weights' bits. The state of
 * the inner optimizer (momentum, Adam's moments) stays with its rank.
 *
 * A call that throws leaves the weights as they were before the exchange: in mode `delta` with this rank's local
 * steps, in mode `gradient` without the step.
 *
 * @example
 * const optimizer = new DistributedOptimizer(tf.train.adam(1e-3), comm, { op: 'adasum', localSteps: 4 })
 * await broadcastWeights(model, comm)
 * for (const [x, y] of batches) loss = await optimizer.minimizeAsync(() => lossOf(model.apply(x), y))
 * await optimizer.flush()
 */
export class DistributedOptimizer {
  /** The wrapped optimizer, for instance to set its learning rate. */
  readonly inner: tf.Optimizer
  readonly #trainer: DistributedTrainer<tf.Tensor>
  #model: VariableModel | undefined

  /**
   * @throws AdasumError ERR_ARGUMENT for an option that is unknown or out of range, or arguments that are no
   *   tf.Optimizer and communicator
   */
  constructor(inner: tf.Optimizer, comm: Collectives, options: DistributedOptimizerOptions) {
    if (typeof inner?.computeGradients !== 'function' || typeof inner.applyGradients !== 'function')
      throw new AdasumError('ERR_ARGUMENT', 'the first argument must be a tf.Optimizer, such as tf.train.adam(1e-3).')
    this.inner = inner
    this.#trainer = new DistributedTrainer(comm, options, WORDS)
  }

  /**
   * The scale of losses, to be saved and restored between exchanges, on all ranks alike; undefined without the option
   * `lossScale`.
   */
  get lossScaler(): LossScaler | undefined {
    return this.#trainer.lossScaler
  }

  /** What the last exchange did, a segment a variable; undefined before the first one. */
  get lastReduction(): StepReduction | undefined {
    return this.#trainer.lastReduction
  }

  /**
   * One call of the training loop: gradients of `f`, and, when `accumulate` calls are together, an optimizer step; when
   * `localSteps` steps are together, an exchange.
   *
   * @param f computes the loss, a scalar tensor; synchronous
   * @param variables what to train; default: the trainable variables of this process that the first loss depends on.
   *   The same ones in every call
   * @param options how much the batch counts
   * @returns the loss on this rank, before the step
   * @throws AdasumError ERR_NOT_READY (as a rejection) if the last call has not settled; ERR_ARGUMENT; ERR_MISMATCH if
   *   options, shapes or initial weights differ between ranks; the communicator's errors; and whatever `f` throws
   */
  minimizeAsync(f: LossFunction, variables?: readonly tf.Variable[], options: BatchOptions = {}): Promise<number> {
    return this.#trainer.train((lossScale) => {
      const { sampleCount } = readOptions(options, BATCH_OPTIONS)
      return { ...this.#batchOf(f, variables, lossScale), sampleCount }
    })
  }

  /**
   * Takes a step with the gradients that wait for `accumulate`, and exchanges the steps that wait for `localSteps`;
   * nothing if none wait. To be called by all ranks at the same point, usually after the last batch: they compare how
   * much is pending, and it must be the same.
   *
   * @throws AdasumError ERR_MISMATCH with both counts; ERR_NOT_READY; the communicator's errors
   */
  flush(): Promise<void> {
    return this.#trainer.flush()
  }

  /** Frees accumulated gradients and the inner optimizer's variables. */
  dispose(): void {
    this.#trainer.dispose()
    this.inner.dispose()
  }

  #batchOf(
    f: LossFunction,
    variables: readonly tf.Variable[] | undefined,
    lossScale: number,
  ): Batch<tf.Tensor, number> {
    const { value, grads } = gradientsOf(this.inner, f, variables, lossScale)
    try {
      const model = this.#modelOf(variables, grads)
      return { model, gradients: model.variables.map(({ name }) => grads[name]), loss: lossOf(value) }
    } catch (error) {
      tf.dispose(grads)
      value.dispose()
      throw error
    }
  }

  #modelOf(variables: readonly tf.Variable[] | undefined, grads: tf.NamedTensorMap): VariableModel {
    if (this.#model) checkVariables(this.#model.variables, variables, grads)
    return (this.#model ??= new VariableModel(this.inner, selectVariables(variables, grads)))
  }
}
