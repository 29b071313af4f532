import * as tf from '@tensorflow/tfjs-core'
import { type LambPreset, lambDefaults, limitFrom, readLamb } from '../../../optim/hyperparameters.ts'
import type { LambHyperparameters } from '../../../optim/rules.ts'
import type { Schedule } from '../../../optim/schedules.ts'
import { numberFrom, readOptions } from '../../../tensor/check.ts'
import type { OptionNames } from '../../../types.ts'
import { readChoice } from './choices.ts'
import { squaredNorm } from './gradients.ts'
import { MOMENT_OPTIONS, MomentOptimizer, type MomentOptimizerOptions, type StepFactors } from './moment-optimizer.ts'
import type { Slot } from './moments.ts'

/** Default of epsilon: 1e-6. Those of weightDecay and clipNorm are the preset's. */
export interface LambOptimizerOptions extends MomentOptimizerOptions {
  /** Whose defaults: `paper` (default), `timm` or `apex`. */
  readonly preset?: LambPreset
  /** Whether the ratio of norms is used for variables that do not decay, too. */
  readonly alwaysAdapt?: boolean
  /** The largest ratio of norms. Default none. */
  readonly maxRatio?: number
}

const OPTIONS: OptionNames<LambOptimizerOptions> = {
  preset: true,
  ...MOMENT_OPTIONS,
  alwaysAdapt: true,
  maxRatio: true,
}

/** Made by `lamb`. */
export class LambOptimizer extends MomentOptimizer {
  /** Its name in saved models. */
  static readonly className: string = 'AdasumLamb'
  readonly #ratio: Pick<LambHyperparameters, 'alwaysAdapt' | 'maxRatio'>

  constructor(learningRate: number | Schedule, given: LambOptimizerOptions = {}) {
    const options = readOptions(given, OPTIONS)
    const { alwaysAdapt, maxRatio, ...hyperparameters } = readLamb(options)
    const defaults = lambDefaults(options.preset)
    const { weightDecay = defaults.weightDecay, clipNorm = defaults.clipNorm } = options
    super(learningRate, {
      hyperparameters,
      weightDecay: numberFrom(weightDecay, 'weightDecay', { least: 0 }),
      decays: readChoice(options.decays, 'decays'),
      clipNorm: limitFrom(clipNorm, 'clipNorm'),
    })
    this.#ratio = { alwaysAdapt, maxRatio }
  }

  /** The preset is in it as the options that it sets. */
  override getConfig(): tf.serialization.ConfigDict {
    const { alwaysAdapt, maxRatio } = this.#ratio
    return { ...super.getConfig(), alwaysAdapt, maxRatio: maxRatio === Infinity ? null : maxRatio }
  }

  protected stepped(weights: tf.Tensor, gradient: tf.Tensor, slot: Slot, factors: StepFactors): tf.Tensor {
    const { alwaysAdapt, maxRatio } = this.#ratio
    const { step, learningRate, weightDecay } = factors
    const direction = this.adamDirection(slot, gradient, step)
    const update = weightDecay === 0 ? direction : tf.add(direction, tf.mul(weights, weightDecay))
    const adapts = alwaysAdapt || weightDecay !== 0
    const rate = adapts ? tf.mul(normRatio(weights, update, maxRatio), learningRate) : learningRate
    return tf.sub(weights, tf.mul(update, rate))
  }
}

tf.serialization.registerClass(LambOptimizer)

/** |weights| / |update|, at most `most`; 1 if a norm is 0. */
function normRatio(weights: tf.Tensor, update: tf.Tensor, most: number): tf.Tensor {
  const [ofWeights, ofUpdate] = [weights, update].map((tensor) => tf.sqrt(squaredNorm(tensor))) as [
    tf.Tensor,
    tf.Tensor,
  ]
  const hasBoth = tf.logicalAnd(tf.greater(ofWeights, 0), tf.greater(ofUpdate, 0))
  const ratio = tf.where(hasBoth, tf.div(ofWeights, ofUpdate), 1)
  return most === Infinity ? ratio : tf.minimum(ratio, most)
}

/**
 * LAMB (arXiv 1904.00962, Algorithm 2), which TensorFlow.js lacks: Adam's direction, plus weightDecay w, is scaled to the
 * norm of the variable. The mathematics, presets and defaults are those of `lamb` in adasum/optim (docs/optimizers.md).
 *
 * @param learningRate - a number, or a function of the number of steps that have been done, such as `cosine` of
 *   adasum/optim returns
 * @returns an optimizer for `model.compile`, `DistributedOptimizer`, or `minimize`
 * @throws AdasumError ERR_ARGUMENT
 */
export function lamb(learningRate: number | Schedule, options: LambOptimizerOptions = {}): LambOptimizer {
  return new LambOptimizer(learningRate, options)
}
