import { viewsOf, weightLayout, type WeightLayout } from '../optim/weight-layout.ts'
import type { Collectives } from './collectives.ts'
import { FlatExchange, type StepReduction } from './flat-exchange.ts'
import type { LossScaler } from './loss-scaler.ts'
import type { StartAgreement } from './start-agreement.ts'
import type { StepMode } from './step-mode.ts'
import type { StepGradient } from './step-gradient.ts'
import type { TrainedModel } from './trained-model.ts'
import type { TrainerSettings } from './trainer-options.ts'
import { readWeights } from './weight-access.ts'

/** Mode `gradient`: gradients are combined at every step, and all ranks take the same step. None is ever pending. */
export class GradientSteps<G> implements StepMode {
  readonly pendingSteps = 0
  readonly #model: TrainedModel<G>
  readonly #agreement: StartAgreement
  readonly #layout: WeightLayout
  readonly #exchange: FlatExchange
  readonly #lossScaler: LossScaler | undefined

  constructor(comm: Collectives, model: TrainedModel<G>, settings: TrainerSettings, agreement: StartAgreement) {
    this.#model = model
    this.#agreement = agreement
    this.#layout = weightLayout(model.weights)
    this.#exchange = new FlatExchange(comm, this.#layout, settings.exchange)
    this.#lossScaler = settings.lossScaler
  }

  async step(gradient: StepGradient, sampleCount: number | undefined): Promise<StepReduction> {
    if (!this.#agreement.isReached) await this.#agree(sampleCount !== undefined)
    const views = viewsOf(this.#layout, this.#exchange.values)
    // Where there is no gradient now, there may have been one in the step before.
    this.#exchange.values.fill(0)
    await gradient.read(views)
    const { reduction, hasResult } = await this.#exchange.combine([], sampleCount)
    const isFinite = this.#lossScaler?.check({ ...reduction, result: this.#exchange.values }) ?? true
    // Before the step, which may fail on one rank alone: all have the same scale in any case.
    this.#lossScaler?.update()
    if (hasResult && isFinite) await this.#model.stepCombined(views)
    return reduction
  }

  async exchangePending(): Promise<undefined> {
    return undefined
  }

  async #agree(countsSamples: boolean): Promise<void> {
    const weights = new Float32Array(this.#layout.elementCount)
    await readWeights(this.#model, viewsOf(this.#layout, weights))
    await this.#agreement.reach(this.#layout, weights, countsSamples)
  }
}
