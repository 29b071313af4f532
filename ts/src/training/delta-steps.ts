import { viewsOf } from '../optim/weight-layout.ts'
import type { Collectives } from './collectives.ts'
import { DeltaRound } from './delta-round.ts'
import type { StepReduction } from './flat-exchange.ts'
import { areFinite } from './loss-scaler.ts'
import { RoundLossScale } from './round-loss-scale.ts'
import type { StartAgreement } from './start-agreement.ts'
import type { StepMode } from './step-mode.ts'
import type { StepGradient } from './step-gradient.ts'
import type { TrainedModel } from './trained-model.ts'
import type { TrainerSettings } from './trainer-options.ts'

/** Mode `delta`: every rank steps by itself, and after `localSteps` steps the changes of the weights are combined. */
export class DeltaSteps<G> implements StepMode {
  readonly #agreement: StartAgreement
  readonly #localSteps: number
  readonly #round: DeltaRound
  readonly #lossScale: RoundLossScale | undefined
  #pendingSteps = 0
  /** The samples of these steps; undefined where nobody counts them. */
  #pendingSamples: number | undefined

  constructor(comm: Collectives, model: TrainedModel<G>, settings: TrainerSettings, agreement: StartAgreement) {
    this.#agreement = agreement
    this.#localSteps = settings.localSteps
    this.#lossScale = settings.lossScaler && new RoundLossScale(settings.lossScaler)
    this.#round = new DeltaRound(comm, model, settings.exchange, this.#lossScale?.notes.length)
  }

  get pendingSteps(): number {
    return this.#pendingSteps
  }

  async step(gradient: StepGradient, sampleCount: number | undefined): Promise<StepReduction | undefined> {
    if (this.#pendingSteps === 0) {
      await this.#round.begin()
      this.#lossScale?.begin()
    }
    // Without samples there is no gradient, and an optimizer with momentum would move all the same.
    if (sampleCount !== 0 && (await this.#isUsable(gradient))) await gradient.step()
    this.#pendingSteps++
    if (sampleCount !== undefined) this.#pendingSamples = (this.#pendingSamples ?? 0) + sampleCount
    return this.#pendingSteps >= this.#localSteps ? this.exchangePending() : undefined
  }

  async exchangePending(): Promise<StepReduction | undefined> {
    if (this.#pendingSteps === 0) return undefined
    this.#lossScale?.rewind()
    await this.#agreement.reach(this.#round.layout, this.#round.start, this.#pendingSamples !== undefined)
    const exchange = await this.#round.combine(this.#lossScale?.notes, this.#pendingSamples)
    this.#lossScale?.end(exchange, this.#pendingSteps)
    this.#pendingSteps = 0
    this.#pendingSamples = undefined
    return exchange.reduction
  }

  /** With a loss scale: whether the gradient of this rank has not overflowed. */
  async #isUsable(gradient: StepGradient): Promise<boolean> {
    if (this.#lossScale === undefined) return true
    const { layout, scratch } = this.#round
    await gradient.read(viewsOf(layout, scratch.fill(0)))
    const isFinite = areFinite(scratch)
    this.#lossScale.takeIn(isFinite)
    return isFinite
  }
}
