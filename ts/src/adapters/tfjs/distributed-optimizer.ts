import * as tf from '@tensorflow/tfjs-core'
import { AdasumError, inspect } from '../../errors.ts'
import { checkAgreement } from '../../training/agreement.ts'
import { checkCommunicator, type Collectives } from '../../training/collectives.ts'
import { fingerprintOfFloats } from '../../optim/fingerprint.ts'
import {
  EXCHANGE_OPTIONS,
  type ExchangeOptions,
  FlatExchange,
  type StepReduction,
} from '../../training/flat-exchange.ts'
import { callOptionsOf, checkCount, checkExchangeOptions } from '../../training/options.ts'
import type { WeightLayout } from '../../optim/weight-layout.ts'
import { checkSameLayout } from '../../training/layout-agreement.ts'
import { OP_CODES } from '../../binding/binding.ts'
import type { CallOptions, OptionNames } from '../../types.ts'
import { disposeAll, GradientMean, type Gradients } from './gradient-mean.ts'
import { checkVariables, gradientsOf, lossOf, type LossFunction, selectVariables } from './gradients.ts'
import { layoutOfVariables, readVariables, tensorsOf } from './variables.ts'
import { VariableRound } from './variable-round.ts'

const MODES = ['delta', 'gradient'] as const

export interface DistributedOptimizerOptions extends ExchangeOptions {
  /**
   * `delta` (default): the inner optimizer steps on every rank, and the changes it made are combined.
   * `gradient`: the gradients are combined, and every inner optimizer steps with the result.
   */
  mode?: 'delta' | 'gradient'
  /** Optimizer steps from one exchange to the next. Default 1; mode `delta` only. */
  localSteps?: number
  /** Calls of `minimizeAsync` whose gradients are averaged into one optimizer step. Default 1. */
  accumulate?: number
  /** Called after each exchange. */
  onReduction?: (reduction: StepReduction) => void
}

const OPTIMIZER_OPTIONS: OptionNames<DistributedOptimizerOptions> = {
  mode: true,
  localSteps: true,
  accumulate: true,
  onReduction: true,
  ...EXCHANGE_OPTIONS,
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
  readonly #comm: Collectives
  readonly #options: ExchangeOptions
  readonly #call: CallOptions
  readonly #mode: 'delta' | 'gradient'
  readonly #localSteps: number
  readonly #accumulate: number
  readonly #onReduction: ((reduction: StepReduction) => void) | undefined
  readonly #mean = new GradientMean()
  #target: Target | undefined
  #pendingSteps = 0
  #hasAgreed = false
  #isBusy = false
  #lastReduction: StepReduction | undefined

  /**
   * @throws AdasumError ERR_ARGUMENT for an option that is unknown or out of range, or arguments that are no
   *   tf.Optimizer and communicator
   */
  constructor(inner: tf.Optimizer, comm: Collectives, options: DistributedOptimizerOptions) {
    if (typeof inner?.computeGradients !== 'function' || typeof inner.applyGradients !== 'function')
      throw new AdasumError('ERR_ARGUMENT', 'the first argument must be a tf.Optimizer, such as tf.train.adam(1e-3).')
    checkCommunicator(comm)
    this.#options = checkExchangeOptions(options, OPTIMIZER_OPTIONS)
    this.#call = callOptionsOf(this.#options)
    this.inner = inner
    this.#comm = comm
    this.#mode = checkMode(options.mode)
    this.#localSteps = checkCount(options.localSteps, 'localSteps', 1)
    this.#accumulate = checkCount(options.accumulate, 'accumulate', 1)
    this.#onReduction = options.onReduction
    if (this.#mode === 'gradient' && this.#localSteps > 1)
      throw new AdasumError(
        'ERR_ARGUMENT',
        `localSteps is ${this.#localSteps}, but mode 'gradient' exchanges at every step. Use accumulate, or mode 'delta'.`,
      )
  }

  /** What the last exchange did, a segment a variable; undefined before the first one. */
  get lastReduction(): StepReduction | undefined {
    return this.#lastReduction
  }

  /**
   * One call of the training loop: gradients of `f`, and, when `accumulate` calls are together, an optimizer step; when
   * `localSteps` steps are together, an exchange.
   *
   * @param f computes the loss, a scalar tensor; synchronous
   * @param variables what to train; default: the trainable variables of this process that the first loss depends on.
   *   The same ones in every call
   * @returns the loss on this rank, before the step
   * @throws AdasumError ERR_NOT_READY (as a rejection) if the last call has not settled; ERR_ARGUMENT; ERR_MISMATCH if
   *   options, shapes or initial weights differ between ranks; the communicator's errors; and whatever `f` throws
   */
  minimizeAsync(f: LossFunction, variables?: readonly tf.Variable[]): Promise<number> {
    return this.#exclusively('minimizeAsync()', async () => {
      const { value, grads } = gradientsOf(this.inner, f, variables)
      try {
        const target = this.#targetOf(variables, grads)
        this.#mean.add(target.variables.map(({ name }) => grads[name]))
      } catch (error) {
        tf.dispose(grads)
        value.dispose()
        throw error
      }
      const loss = await lossOf(value)
      if (this.#mean.count >= this.#accumulate) await this.#step()
      return loss
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
    return this.#exclusively('flush()', async () => {
      const settings = [
        { label: 'the number of pending steps', value: this.#pendingSteps },
        { label: 'the number of accumulated gradients', value: this.#mean.count },
      ]
      const advice = 'Call minimizeAsync() equally often on every rank.'
      await checkAgreement(settings, { comm: this.#comm, caller: 'flush()', advice, call: this.#call })
      if (this.#mean.count > 0) await this.#step()
      if (this.#pendingSteps > 0) await this.#exchangeDeltas(this.#target as DeltaTarget)
    })
  }

  /** Frees accumulated gradients and the inner optimizer's variables. */
  dispose(): void {
    this.#mean.dispose()
    this.inner.dispose()
  }

  async #exclusively<T>(caller: string, run: () => Promise<T>): Promise<T> {
    if (this.#isBusy)
      throw new AdasumError('ERR_NOT_READY', `${caller} was called before the last call had settled. Await each call.`)
    this.#isBusy = true
    try {
      return await run()
    } finally {
      this.#isBusy = false
    }
  }

  #targetOf(variables: readonly tf.Variable[] | undefined, grads: tf.NamedTensorMap): Target {
    const known = this.#target
    if (known !== undefined) {
      checkVariables(known.variables, variables, grads)
      return known
    }
    const chosen = selectVariables(variables, grads)
    const comm = this.#comm
    if (this.#mode === 'delta') {
      this.#target = { variables: chosen, round: new VariableRound(comm, chosen, this.#options) }
    } else {
      const layout = layoutOfVariables(chosen)
      this.#target = { variables: chosen, layout, exchange: new FlatExchange(comm, layout, this.#options) }
    }
    return this.#target
  }

  async #step(): Promise<void> {
    const gradients = this.#mean.take()
    const target = this.#target!
    try {
      await ('round' in target ? this.#stepLocally(target, gradients) : this.#stepTogether(target, gradients))
    } finally {
      disposeAll(gradients)
    }
  }

  async #stepLocally(target: DeltaTarget, gradients: Gradients): Promise<void> {
    if (this.#pendingSteps === 0) await target.round.begin()
    this.#apply(target.variables, gradients)
    this.#pendingSteps++
    if (this.#pendingSteps >= this.#localSteps) await this.#exchangeDeltas(target)
  }

  async #exchangeDeltas(target: DeltaTarget): Promise<void> {
    await this.#agree(target.round.layout, target.round.start)
    const { reduction } = await target.round.combine()
    this.#pendingSteps = 0
    this.#report(reduction)
  }

  async #stepTogether({ variables, layout, exchange }: GradientTarget, gradients: Gradients): Promise<void> {
    if (!this.#hasAgreed) {
      const weights = new Float32Array(layout.elementCount)
      await readVariables(variables, layout, weights)
      await this.#agree(layout, weights)
    }
    const absent = (index: number): boolean => gradients[index] === undefined
    exchange.values.fill(0)
    // Where there is no gradient, the variable stands in and is skipped.
    const present = gradients.map((gradient, index) => gradient ?? variables[index]!)
    await readVariables(present, layout, exchange.values, absent)
    const { reduction, hasResult } = await exchange.combine()
    if (hasResult) tf.tidy(() => this.#apply(variables, tensorsOf(layout, exchange.values)))
    this.#report(reduction)
  }

  /** As tf.Optimizer.minimize does it: a list in fixed order, because optimizers keep their state by position. */
  #apply(variables: readonly tf.Variable[], gradients: Gradients): void {
    const named = variables.map(({ name }, index) => ({ name, tensor: gradients[index] as tf.Tensor }))
    this.inner.applyGradients(named)
  }

  async #agree(layout: WeightLayout, weights: Float32Array): Promise<void> {
    if (this.#hasAgreed) return
    const caller = 'DistributedOptimizer'
    const shared = { comm: this.#comm, caller, call: this.#call }
    const settings = [
      { label: 'op', value: OP_CODES[this.#options.op], choices: Object.keys(OP_CODES) },
      { label: 'mode', value: MODES.indexOf(this.#mode), choices: MODES },
      { label: 'localSteps', value: this.#localSteps },
      { label: 'accumulate', value: this.#accumulate },
    ]
    await checkAgreement(settings, { ...shared, advice: 'Construct it with the same options on every rank.' })
    await checkSameLayout(layout, { ...shared, advice: 'Pass the same variables in the same order on every rank.' })
    const print = [{ label: 'the fingerprint of the initial weights', value: fingerprintOfFloats(weights) }]
    await checkAgreement(print, { ...shared, advice: 'Call broadcastWeights(model, comm) before the first step.' })
    this.#hasAgreed = true
  }

  #report(reduction: StepReduction): void {
    this.#lastReduction = reduction
    this.#onReduction?.(reduction)
  }
}

interface DeltaTarget {
  variables: readonly tf.Variable[]
  round: VariableRound
}

interface GradientTarget {
  variables: readonly tf.Variable[]
  layout: WeightLayout
  exchange: FlatExchange
}

type Target = DeltaTarget | GradientTarget

function checkMode(mode: unknown): 'delta' | 'gradient' {
  const known = MODES.find((name) => name === (mode ?? 'delta'))
  if (known !== undefined) return known
  throw new AdasumError('ERR_ARGUMENT', `mode is ${inspect(mode)}; it must be one of ${MODES.join(', ')}.`)
}
