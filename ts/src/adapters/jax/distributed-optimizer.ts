import type * as jax from '@jax-js/jax'
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
import { readOptions } from '../../tensor/check.ts'
import { type GradientTransformation, InnerOptimizer } from './inner-optimizer.ts'
import { type ArrayTree, disposeTree, Pytree } from './pytree.ts'
import { TreeModel } from './tree-model.ts'

/** Options of `DistributedOptimizer`. */
export type DistributedOptimizerOptions = TrainerOptions

const WORDS: TrainerWords = {
  trainer: 'DistributedOptimizer',
  step: 'step()',
  sameWeights: 'Pass params with the same paths and shapes on every rank.',
  equalStart: 'Call params = await broadcast(params, comm) before the first step.',
}

/**
 * Trains the same parameters on all ranks with any optimizer in the shape of Optax.
 *
 * All ranks must begin with equal parameters (`broadcast`) and call `step` equally often. The first exchange checks
 * this: options, paths, shapes and the bits. The state of the inner optimizer stays with its rank.
 *
 * Trees are used up, as jax-js's own functions use arguments up. After a call that throws, `takeParams` gives the
 * parameters: those before the exchange, in mode `delta` with this rank's local steps, in mode `gradient` without the
 * step.
 *
 * @example
 * const optimizer = new DistributedOptimizer(adam(1e-3), comm, { op: 'adasum', localSteps: 4 })
 * let params = await broadcast(initialize(), comm)
 * for (const [x, y] of batches) {
 *   const [loss, gradients] = lossAndGradients(tree.ref(params), x, y)
 *   params = await optimizer.step(gradients, params)
 * }
 * params = await optimizer.flush(params)
 */
export class DistributedOptimizer<S = unknown> {
  readonly #inner: InnerOptimizer<S>
  readonly #trainer: DistributedTrainer<jax.Array>
  #model: TreeModel<S> | undefined

  /**
   * @throws AdasumError ERR_ARGUMENT for an option that is unknown or out of range, or arguments that are no optimizer
   *   and communicator
   */
  constructor(inner: GradientTransformation<S>, comm: Collectives, options: DistributedOptimizerOptions) {
    this.#inner = new InnerOptimizer(inner)
    this.#trainer = new DistributedTrainer(comm, options, WORDS)
  }

  /** What the last exchange did, a segment a leaf, sorted by path; undefined before the first one. */
  get lastReduction(): StepReduction | undefined {
    return this.#trainer.lastReduction
  }

  /**
   * The scale of losses, by whose `scale` a loss is multiplied before its gradients are taken; it is saved and restored
   * between exchanges, on all ranks alike. Undefined without the option `lossScale`.
   */
  get lossScaler(): LossScaler | undefined {
    return this.#trainer.lossScaler
  }

  /**
   * The state of the inner optimizer on this rank; undefined before the first step. Its arrays stay the optimizer's:
   * take `tree.ref(optimizer.state)` to keep or save them. A state that is assigned, such as that of a checkpoint,
   * becomes the optimizer's.
   */
  get state(): S | undefined {
    return this.#inner.state
  }

  /** Takes over the arrays of a state, such as that of a checkpoint, and ends those of the present one. */
  set state(state: S | undefined) {
    this.#inner.state = state
  }

  /**
   * One call of the training loop: takes a batch's gradients, and, when `accumulate` calls are together, an optimizer
   * step; when `localSteps` steps are together, an exchange. What is still to be computed is computed.
   *
   * @param gradients a tree with the paths and shapes of `params`; used up. With the option `lossScale` they are those of
   *   the loss times `lossScaler.scale`
   * @param params the parameters, float32; used up. The same paths and shapes in every call
   * @returns the parameters to go on with, in the structure of `params`
   * @throws AdasumError ERR_NOT_READY (as a rejection) if the last call has not settled; ERR_ARGUMENT and
   *   ERR_UNSUPPORTED for other trees; ERR_MISMATCH if options, paths, shapes or initial values differ between ranks; the
   *   communicator's errors; and whatever the inner optimizer throws
   */
  async step<P extends ArrayTree>(gradients: P, params: P, options: BatchOptions = {}): Promise<P> {
    await this.#orDispose([gradients, params], (start) =>
      this.#trainer.train(() => {
        const { sampleCount } = readOptions(options, BATCH_OPTIONS)
        start()
        return { ...this.#batchOf(gradients, params), sampleCount }
      }),
    )
    return this.takeParams() as P
  }

  /**
   * Takes a step with the gradients that wait for `accumulate`, and exchanges the steps that wait for `localSteps`;
   * nothing if none wait. To be called by all ranks at the same point, usually after the last batch: they compare how
   * much is pending, and it must be the same.
   *
   * @param params as in `step`; used up
   * @returns the parameters, the same bits on every rank
   * @throws AdasumError ERR_MISMATCH with both counts; and as `step` does
   */
  async flush<P extends ArrayTree>(params: P): Promise<P> {
    await this.#orDispose([params], (start) =>
      this.#trainer.flush(() => {
        start()
        this.#modelWith(params)
      }),
    )
    return this.takeParams() as P
  }

  /**
   * The parameters that a failed call of `step` or `flush` has left behind, as they were before the exchange; they are
   * the caller's from now on. Undefined if there are none.
   */
  takeParams(): ArrayTree | undefined {
    return this.#model?.takeTree()
  }

  /** Frees accumulated gradients, the inner optimizer's state, and the parameters of a failed call. */
  dispose(): void {
    this.#trainer.dispose()
    this.#model?.replace([])
    this.#inner.state = undefined
  }

  /** Disposes of trees if the trainer refuses the call before `work` has started. */
  async #orDispose(trees: readonly ArrayTree[], work: (start: () => void) => Promise<void>): Promise<void> {
    let isStarted = false
    try {
      await work(() => (isStarted = true))
    } finally {
      if (!isStarted) disposeTree(trees)
    }
  }

  #batchOf(gradients: ArrayTree, params: ArrayTree): Batch<jax.Array, void> {
    let model: TreeModel<S>
    try {
      model = this.#modelWith(params)
    } catch (error) {
      disposeTree(gradients)
      throw error
    }
    return { model, gradients: model.arraysFor(gradients, 'gradients'), loss: undefined }
  }

  /** The model, which has taken over the parameters. If they are refused, they are disposed of. */
  #modelWith(params: ArrayTree): TreeModel<S> {
    const tree = new Pytree(params, 'params')
    try {
      const model = (this.#model ??= new TreeModel(this.#inner, tree))
      model.give(tree)
      return model
    } catch (error) {
      tree.dispose()
      throw error
    }
  }
}
