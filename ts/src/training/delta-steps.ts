import type { Collectives } from './collectives.ts'
import { DeltaRound } from './delta-round.ts'
import type { StepReduction } from './flat-exchange.ts'
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
  #pendingSteps = 0
  /** The samples of these steps; undefined where nobody counts them. */
  #pendingSamples: number | undefined

  constructor(comm: Collectives, model: TrainedModel<G>, settings: TrainerSettings, agreement: StartAgreement) {
    this.#agreement = agreement
    this.#localSteps = settings.localSteps
    this.#round = new DeltaRound(comm, model, settings.exchange)
  }

  get pendingSteps(): number {
    return this.#pendingSteps
  }

  async step(gradient: StepGradient, sampleCount: number | undefined): Promise<StepReduction | undefined> {
    if (this.#pendingSteps === 0) await this.#round.begin()
    // Without samples there is no gradient, and an optimizer with momentum would move all the same.
    if (sampleCount !== 0) await gradient.step()
    this.#pendingSteps++
    if (sampleCount !== undefined) this.#pendingSamples = (this.#pendingSamples ?? 0) + sampleCount
    return this.#pendingSteps >= this.#localSteps ? this.exchangePending() : undefined
  }

  async exchangePending(): Promise<StepReduction | undefined> {
    if (this.#pendingSteps === 0) return undefined
    await this.#agreement.reach(this.#round.layout, this.#round.start, this.#pendingSamples !== undefined)
    const { reduction } = await this.#round.combine([], this.#pendingSamples)
    this.#pendingSteps = 0
    this.#pendingSamples = undefined
    return reduction
  }
}
