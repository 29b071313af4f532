import type { WeightAccess } from './weight-access.ts'

/** One gradient a weight, in the order of the weights; undefined where the loss does not depend on the weight. */
export type Gradients<G> = readonly (G | undefined)[]

/**
 * What distributed training sees of a model and its optimizer. It is all that an adapter for a framework implements:
 * modes, local steps, accumulation and the agreement of ranks are the trainer's.
 *
 * `G` is the framework's gradient of one weight, such as a tensor. Each belongs to whoever was given it last, who
 * disposes of it, so that frameworks without garbage collection keep none.
 */
export interface TrainedModel<G> extends WeightAccess {
  /** Takes over both arguments, and returns their sum; the gradient itself where there is no sum yet. */
  addGradient(sum: G | undefined, gradient: G): G
  /** Takes over the sum, and returns it divided by a number that f32 holds: a count of batches, times a loss scale. */
  divideGradient(sum: G, divisor: number): G
  /** Copies the values of a gradient into `target`, which has as many elements. */
  readGradient(gradient: G, target: Float32Array): Promise<void> | void
  disposeGradient(gradient: G): void
  /** One optimizer step with gradients of this rank, which stay the caller's. */
  step(gradients: Gradients<G>): Promise<void> | void
  /** One optimizer step with the gradients of all ranks, an array for each weight. Their memory is used again. */
  stepCombined(gradients: readonly Float32Array[]): Promise<void> | void
  /** Computes what a lazy framework has put off. Called when a batch or an exchange has ended. */
  settle?(): Promise<void>
}

export function disposeAll<G>(model: TrainedModel<G>, gradients: Gradients<G>): void {
  for (const gradient of gradients) if (gradient !== undefined) model.disposeGradient(gradient)
}
