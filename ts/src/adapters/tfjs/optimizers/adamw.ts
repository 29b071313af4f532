import * as tf from '@tensorflow/tfjs-core'
import { ADAMW_WEIGHT_DECAY, limitFrom, readAdam } from '../../../optim/hyperparameters.ts'
import type { Schedule } from '../../../optim/schedules.ts'
import { numberFrom, readOptions } from '../../../tensor/check.ts'
import { readChoice } from './choices.ts'
import { MOMENT_OPTIONS, MomentOptimizer, type MomentOptimizerOptions, type StepFactors } from './moment-optimizer.ts'
import type { Slot } from './moments.ts'

/** Defaults: epsilon 1e-8, weightDecay 0.01, no clipNorm. */
export type AdamWOptimizerOptions = MomentOptimizerOptions

/** Made by `adamw`. */
export class AdamWOptimizer extends MomentOptimizer {
  /** Its name in saved models. */
  static readonly className: string = 'AdasumAdamW'

  constructor(learningRate: number | Schedule, given: AdamWOptimizerOptions = {}) {
    const options = readOptions(given, MOMENT_OPTIONS)
    super(learningRate, {
      hyperparameters: readAdam(options),
      weightDecay: numberFrom(options.weightDecay ?? ADAMW_WEIGHT_DECAY, 'weightDecay', { least: 0 }),
      decays: readChoice(options.decays, 'decays'),
      clipNorm: limitFrom(options.clipNorm, 'clipNorm'),
    })
  }

  protected stepped(weights: tf.Tensor, gradient: tf.Tensor, slot: Slot, factors: StepFactors): tf.Tensor {
    return decayedAndMoved(weights, this.adamDirection(slot, gradient, factors.step), factors)
  }
}

/** w (1 - rate weightDecay) - rate direction */
export function decayedAndMoved(
  weights: tf.Tensor,
  direction: tf.Tensor,
  { learningRate, weightDecay }: Pick<StepFactors, 'learningRate' | 'weightDecay'>,
): tf.Tensor {
  const kept = weightDecay === 0 ? weights : tf.mul(weights, 1 - learningRate * weightDecay)
  return tf.sub(kept, tf.mul(direction, learningRate))
}

tf.serialization.registerClass(AdamWOptimizer)

/**
 * Adam with decoupled weight decay (arXiv 1711.05101), which TensorFlow.js lacks: w *= 1 - rate weightDecay, then Adam's
 * step. The mathematics and defaults are those of `adamw` in adasum/optim.
 *
 * @param learningRate - a number, or a function of the number of steps that have been done, such as `cosine` of
 *   adasum/optim returns
 * @returns an optimizer for `model.compile`, `DistributedOptimizer`, or `minimize`
 * @throws AdasumError ERR_ARGUMENT
 */
export function adamw(learningRate: number | Schedule, options: AdamWOptimizerOptions = {}): AdamWOptimizer {
  return new AdamWOptimizer(learningRate, options)
}
