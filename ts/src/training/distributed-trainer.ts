/**
 * Distributed training, whatever the framework: batches in, optimizer steps and exchanges out.
 *
 * Gradients of `accumulate` batches make one step, and a mode decides what a step is: `delta-steps.ts` or
 * `gradient-steps.ts`. The trainer sees a framework as a `TrainedModel`; its adapter computes the gradients.
 */
import { AdasumError } from '../errors.ts'
import { checkOperation } from '../reduction/operation.ts'
import { checkRankWeight, checkWeightedOp } from '../reduction/options.ts'
import { newAccumulator } from './accumulation.ts'
import { checkAgreement } from './agreement.ts'
import { checkCommunicator, type Collectives } from './collectives.ts'
import { DeltaSteps } from './delta-steps.ts'
import type { StepReduction } from './flat-exchange.ts'
import { GradientSteps } from './gradient-steps.ts'
import type { LossScaler } from './loss-scaler.ts'
import { callOptionsOf } from './options.ts'
import { StartAgreement } from './start-agreement.ts'
import type { Accumulator } from './step-gradient.ts'
import type { StepMode } from './step-mode.ts'
import { disposeAll, type Gradients, type TrainedModel } from './trained-model.ts'
import { checkTrainerOptions, type TrainerOptions, type TrainerSettings, type TrainerWords } from './trainer-options.ts'

/** What one call of a training loop hands over. */
export interface Batch<G, L> {
  /** The same one in every batch. */
  model: TrainedModel<G>
  /** They belong to the trainer from now on. */
  gradients: Gradients<G>
  loss: L | PromiseLike<L>
  /**
   * How many samples the batch has, from 0 to 2^53: gradients that are means over as many samples then count by them, within
   * a rank and between ranks. 0: this rank has none, and goes along. Given with every batch on every rank, or with none.
   */
  sampleCount?: number | undefined
}

interface Training<G> {
  model: TrainedModel<G>
  accumulator: Accumulator<G>
  mode: StepMode
  /** The samples of the batches in the accumulator; undefined where nobody counts them. */
  sampleCount: number | undefined
}

/**
 * Trains a model together with those of the other ranks. All begin with equal weights and call `train` equally
 * often; the first exchange checks options, shapes and the weights' bits. What an optimizer keeps stays with its rank.
 *
 * A call that throws leaves the weights as they were before the exchange: in mode `delta` with this rank's local
 * steps, in mode `gradient` without the step.
 */
export class DistributedTrainer<G> {
  readonly #comm: Collectives
  readonly #settings: TrainerSettings
  readonly #words: TrainerWords
  readonly #agreement: StartAgreement
  #training: Training<G> | undefined
  #isBusy = false
  #lastReduction: StepReduction | undefined

  /**
   * @throws AdasumError ERR_ARGUMENT for an option that is unknown or out of range, or what is no communicator;
   *   ERR_UNSUPPORTED for an operator that does not take so many ranks
   */
  constructor(comm: Collectives, options: TrainerOptions, words: TrainerWords) {
    checkCommunicator(comm)
    this.#comm = comm
    this.#settings = checkTrainerOptions(options, comm.size)
    this.#words = words
    this.#agreement = new StartAgreement(comm, this.#settings, words)
  }

  /** The scale of losses, to be saved and restored between steps that have been exchanged; undefined without `lossScale`. */
  get lossScaler(): LossScaler | undefined {
    return this.#settings.lossScaler
  }

  /** What the last exchange did, a segment a weight; undefined before the first one. */
  get lastReduction(): StepReduction | undefined {
    return this.#lastReduction
  }

  /**
   * Takes a batch, and, when `accumulate` batches are together, an optimizer step; when `localSteps` steps are
   * together, an exchange.
   *
   * @param computeBatch is called at once, unless the last call has not settled. It is given the loss scale, 1 if there is
   *   none: the gradients must be those of the loss times that, the loss is its own
   * @returns the batch's loss
   * @throws AdasumError ERR_NOT_READY (as a rejection) if the last call has not settled; ERR_ARGUMENT for another model
   *   than the first; ERR_MISMATCH if options, weights or their values differ between ranks; the communicator's errors;
   *   and whatever `computeBatch` and the model throw
   */
  train<L>(computeBatch: (lossScale: number) => Batch<G, L>): Promise<L> {
    return this.#exclusively(this.#words.step, async () => {
      const scale = this.#settings.lossScaler?.scale ?? 1
      const batch = computeBatch(scale)
      const training = await this.#add({ ...batch, gradients: unscaled(batch, scale) })
      const loss = await batch.loss
      if (training.accumulator.count >= this.#settings.accumulate) await this.#step(training)
      await training.model.settle?.()
      return loss
    })
  }

  /**
   * Takes a step with the gradients that wait for `accumulate`, and exchanges the steps that wait for `localSteps`;
   * nothing if none wait. All ranks must call it at the same point: they compare how much is pending.
   *
   * @param begin is called at once, unless the last call has not settled
   * @throws AdasumError ERR_MISMATCH with both counts if they differ; ERR_NOT_READY; the communicator's errors; and
   *   whatever `begin` throws
   */
  flush(begin: () => void = () => undefined): Promise<void> {
    return this.#exclusively('flush()', async () => {
      begin()
      const training = this.#training
      const settings = [
        { label: 'the number of pending steps', value: training?.mode.pendingSteps ?? 0 },
        { label: 'the number of accumulated gradients', value: training?.accumulator.count ?? 0 },
      ]
      const advice = `Call ${this.#words.step} equally often on every rank.`
      const call = callOptionsOf(this.#settings.exchange)
      await checkAgreement(settings, { comm: this.#comm, caller: 'flush()', advice, call })
      if (training === undefined) return
      if (training.accumulator.count > 0) await this.#step(training)
      this.#report(await training.mode.exchangePending())
      await training.model.settle?.()
    })
  }

  /** Disposes of the gradients that wait for `accumulate`. */
  dispose(): void {
    this.#training?.accumulator.dispose()
  }

  async #exclusively<T>(caller: string, work: () => Promise<T>): Promise<T> {
    if (this.#isBusy)
      throw new AdasumError('ERR_NOT_READY', `${caller} was called before the last call had settled. Await each call.`)
    this.#isBusy = true
    try {
      return await work()
    } finally {
      this.#isBusy = false
    }
  }

  /** The gradients are taken over before this waits for anything: a framework may free what nobody has. */
  async #add<L>({ model, gradients, loss, sampleCount }: Batch<G, L>): Promise<Training<G>> {
    let added: Promise<void> | void
    let training: Training<G>
    try {
      const samples = this.#checkSampleCount(sampleCount)
      training = this.#training ??= this.#begin(model, samples)
      if (training.model !== model)
        throw new AdasumError(
          'ERR_ARGUMENT',
          `the model is not that of the first batch. Use one ${this.#words.trainer} for each model.`,
        )
      if ((training.sampleCount === undefined) !== (samples === undefined)) throw this.#unequalBatches(samples)
      added = training.accumulator.add(gradients, samples ?? 1)
      if (samples !== undefined) training.sampleCount! += samples
    } catch (error) {
      disposeAll(model, gradients)
      // Nobody awaits the loss any more, and its failure must not count as unhandled.
      await Promise.allSettled([loss])
      throw error
    }
    // If this fails, nobody awaits the loss any more.
    await Promise.all([added, Promise.allSettled([loss])])
    return training
  }

  #checkSampleCount(given: unknown): number | undefined {
    if (given === undefined) return undefined
    const { exchange, accumulateOp } = this.#settings
    checkWeightedOp('sampleCount', accumulateOp, 'accumulateOp')
    return checkRankWeight(given, checkOperation(exchange.op).name, exchange.hierarchy, 'sampleCount')
  }

  #unequalBatches(samples: number | undefined): AdasumError {
    const found = samples === undefined ? 'sampleCount is missing, and was' : 'sampleCount is given, and was not'
    return new AdasumError('ERR_ARGUMENT', `${found} given before. Give it with every batch, or with none.`)
  }

  #begin(model: TrainedModel<G>, samples: number | undefined): Training<G> {
    const Steps = this.#settings.mode === 'delta' ? DeltaSteps : GradientSteps
    const mode = new Steps(this.#comm, model, this.#settings, this.#agreement)
    const accumulator = newAccumulator(model, this.#settings.accumulateOp)
    return { model, accumulator, mode, sampleCount: samples === undefined ? undefined : 0 }
  }

  async #step(training: Training<G>): Promise<void> {
    const { sampleCount } = training
    if (sampleCount !== undefined) training.sampleCount = 0
    const gradient = await training.accumulator.take()
    try {
      this.#report(await training.mode.step(gradient, sampleCount))
    } finally {
      gradient.dispose()
    }
  }

  #report(reduction: StepReduction | undefined): void {
    if (reduction === undefined) return
    this.#lastReduction = reduction
    this.#settings.onReduction?.(reduction)
  }
}

/** Takes over the gradients of a batch, and returns them divided by the loss scale. */
function unscaled<G>({ model, gradients }: Batch<G, unknown>, scale: number): Gradients<G> {
  if (scale === 1) return gradients
  return gradients.map((gradient) => (gradient === undefined ? gradient : model.divideGradient(gradient, scale)))
}
