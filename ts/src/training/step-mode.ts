import type { StepReduction } from './flat-exchange.ts'
import type { Gradients } from './trained-model.ts'

/** One of the modes of training: how it takes an optimizer step, and when ranks exchange what. */
export interface StepMode<G> {
  /** Steps that this rank has taken since the last exchange. */
  readonly pendingSteps: number
  /**
   * Takes a step with this rank's gradients, which stay the caller's.
   * @returns what the exchange did, if the step ended with one
   */
  step(gradients: Gradients<G>): Promise<StepReduction | undefined>
  /** Exchanges the steps that are pending; nothing if none is. */
  exchangePending(): Promise<StepReduction | undefined>
}
