import type { Gradients } from './trained-model.ts'

/** The gradient of one optimizer step, as this rank has it. */
export interface StepGradient {
  /** Copies it into an array for each weight, and leaves the array alone where there is no gradient. */
  read(targets: readonly Float32Array[]): Promise<void>
  /** Takes one optimizer step of this rank with it. */
  step(): Promise<void> | void
  dispose(): void
}

/** Combines the gradients of batches. It owns those that it is given. */
export interface Accumulator<G> {
  /** Batches since the gradient of a step was last taken, those without samples included. */
  readonly count: number
  /**
   * Takes the gradients over before it returns, and settles when they have been added.
   *
   * @param sampleCount - how much the batch counts; 0: not at all
   */
  add(gradients: Gradients<G>, sampleCount: number): Promise<void> | void
  /** What the batches give together, now the caller's to dispose of. It may share memory with later ones. */
  take(): Promise<StepGradient> | StepGradient
  dispose(): void
}
