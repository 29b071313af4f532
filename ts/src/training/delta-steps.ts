import type { Collectives } from './collectives.ts'
import { DeltaRound } from './delta-round.ts'
import type { StepReduction } from './flat-exchange.ts'
import type { StartAgreement } from './start-agreement.ts'
import type { StepMode } from './step-mode.ts'
import type { Gradients, TrainedModel } from './trained-model.ts'
import type { TrainerSettings } from './trainer-options.ts'

/** Mode `delta`: every rank steps by itself, and after `localSteps` steps the changes of the weights are combined. */
export class DeltaSteps<G> implements StepMode<G> {
  readonly #model: TrainedModel<G>
  readonly #agreement: StartAgreement
  readonly #localSteps: number
  readonly #round: DeltaRound
  #pendingSteps = 0

  constructor(comm: Collectives, model: TrainedModel<G>, settings: TrainerSettings, agreement: StartAgreement) {
    this.#model = model
    this.#agreement = agreement
    this.#localSteps = settings.localSteps
    this.#round = new DeltaRound(comm, model, settings.exchange)
  }

  get pendingSteps(): number {
    return this.#pendingSteps
  }

  async step(gradients: Gradients<G>): Promise<StepReduction | undefined> {
    if (this.#pendingSteps === 0) await this.#round.begin()
    await this.#model.step(gradients)
    this.#pendingSteps++
    return this.#pendingSteps >= this.#localSteps ? this.exchangePending() : undefined
  }

  async exchangePending(): Promise<StepReduction | undefined> {
    if (this.#pendingSteps === 0) return undefined
    await this.#agreement.reach(this.#round.layout, this.#round.start)
    const { reduction } = await this.#round.combine()
    this.#pendingSteps = 0
    return reduction
  }
}
