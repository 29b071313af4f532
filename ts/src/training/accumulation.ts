/** Gradients of several batches, on their way to one optimizer step of this rank. */
import type { ReduceOp } from '../types.ts'
import { AdasumAccumulator } from './adasum-accumulator.ts'
import { GradientMean } from './gradient-mean.ts'
import type { Accumulator } from './step-gradient.ts'
import type { TrainedModel } from './trained-model.ts'

/** @param op - by which the gradients of batches are combined */
export function newAccumulator<G>(model: TrainedModel<G>, op: ReduceOp): Accumulator<G> {
  return op === 'adasum' ? new AdasumAccumulator(model) : new GradientMean(model, op)
}
