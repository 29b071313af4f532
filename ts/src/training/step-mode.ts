import type { StepReduction } from './flat-exchange.ts'
import type { StepGradient } from './step-gradient.ts'

/** One of the modes of training: how it takes an optimizer step, and when ranks exchange what. */
export interface StepMode {
  /** Steps that this rank has taken since the last exchange. */
  readonly pendingSteps: number
  /**
   * Takes a step with this rank's gradient, which stays the caller's.
   *
   * @param sampleCount - how much this rank counts in it; 0: not at all; undefined where nobody counts samples
   * @returns what the exchange did, if the step ended with one
   */
  step(gradient: StepGradient, sampleCount: number | undefined): Promise<StepReduction | undefined>
  /** Exchanges the steps that are pending; nothing if none is. */
  exchangePending(): Promise<StepReduction | undefined>
}
