import * as tf from '@tensorflow/tfjs-core'
import { inspect } from '../../../errors.ts'
import { limitFrom, muonDefaults, readAdam, readMuon } from '../../../optim/hyperparameters.ts'
import {
  checkMatrix,
  MUON_ADAMW_OPTIONS,
  MUON_MATRIX_OPTIONS,
  type MuonAdamWOptions,
  type MuonMatrixOptions,
} from '../../../optim/muon.ts'
import { matrixOf, type MuonHyperparameters, muonMix, type MuonPreset, muonScale } from '../../../optim/rules.ts'
import type { Schedule } from '../../../optim/schedules.ts'
import { numberFrom, readOptions } from '../../../tensor/check.ts'
import type { OptionNames } from '../../../types.ts'
import { decayedAndMoved } from './adamw.ts'
import { answerFor, choiceList, type Decays, readChoice } from './choices.ts'
import { squaredNorm } from './gradients.ts'
import { MomentOptimizer, type StepFactors } from './moment-optimizer.ts'
import type { Slot } from './moments.ts'

/** Defaults are those of `muon` in adasum/optim, but for the preset. */
export interface MuonOptimizerOptions extends MuonMatrixOptions {
  /** Whose conventions and defaults: `optax` (default), for kernels as TensorFlow.js has them, or `torch`. */
  readonly preset?: MuonPreset
  /** Which variables are orthogonalized, as `decays` says it; AdamW steps the others. Default those of rank 2. */
  readonly orthogonalizes?: Decays
  /** The decay of matrices that decay at all. Default 0, or 0.1 with the preset `torch`. */
  readonly weightDecay?: number
  /** Which variables decay: a function of name and shape, or a list by position. Default all. */
  readonly decays?: Decays
  /** The largest norm of the gradients of a step together; longer ones are scaled down to it. */
  readonly clipNorm?: number | null
  /** How AdamW steps the others. */
  readonly adamw?: MuonAdamWOptions
}

const OPTIONS: OptionNames<MuonOptimizerOptions> = {
  preset: true,
  ...MUON_MATRIX_OPTIONS,
  orthogonalizes: true,
  weightDecay: true,
  decays: true,
  clipNorm: true,
  adamw: true,
}

/** Made by `muon`. */
export class MuonOptimizer extends MomentOptimizer {
  /** Its name in saved models. */
  static readonly className: string = 'AdasumMuon'
  readonly #muon: MuonHyperparameters
  readonly #orthogonalizes: Decays
  readonly #others: Required<Pick<MuonAdamWOptions, 'weightDecay' | 'learningRateFactor'>>

  constructor(learningRate: number | Schedule, given: MuonOptimizerOptions = {}) {
    const options = readOptions(given, OPTIONS)
    const { preset, ...defaults } = muonDefaults(options.preset ?? 'optax')
    const others = readOptions(options.adamw ?? {}, MUON_ADAMW_OPTIONS)
    const { weightDecay = defaults.otherWeightDecay, learningRateFactor = 1, ...moments } = others
    super(learningRate, {
      hyperparameters: readAdam(moments),
      weightDecay: numberFrom(options.weightDecay ?? defaults.weightDecay, 'weightDecay', { least: 0 }),
      decays: readChoice(options.decays, 'decays'),
      clipNorm: limitFrom(options.clipNorm, 'clipNorm'),
      hasMatrices: true,
    })
    this.#muon = readMuon(options, preset)
    this.#orthogonalizes = readChoice(options.orthogonalizes, 'orthogonalizes') ?? (({ shape }) => shape.length === 2)
    this.#others = {
      weightDecay: numberFrom(weightDecay, 'adamw.weightDecay', { least: 0 }),
      learningRateFactor: numberFrom(learningRateFactor, 'adamw.learningRateFactor', { least: 0 }),
    }
  }

  /** `orthogonalizes` is a list in it, and whatever the preset sets is said. */
  override getConfig(): tf.serialization.ConfigDict {
    const { beta1, beta2, epsilon, ...common } = super.getConfig()
    const { coefficients, ...muon } = this.#muon
    const answers = this.slots.map(({ traits }) => traits?.isMatrix)
    return {
      ...common,
      ...muon,
      coefficients: [...coefficients],
      orthogonalizes: choiceList(this.#orthogonalizes, 'orthogonalizes', answers),
      adamw: { beta1: beta1!, beta2: beta2!, epsilon: epsilon!, ...this.#others },
    }
  }

  protected override isMatrix(variable: tf.Variable, index: number): boolean {
    if (!answerFor(this.#orthogonalizes, 'orthogonalizes', variable, index)) return false
    checkMatrix(variable.shape, `variable ${inspect(variable.name)}`)
    return true
  }

  protected override weightDecayOf(slot: Slot): number {
    return slot.traits!.isMatrix ? super.weightDecayOf(slot) : this.#others.weightDecay
  }

  protected stepped(weights: tf.Tensor, gradient: tf.Tensor, slot: Slot, factors: StepFactors): tf.Tensor {
    if (slot.traits!.isMatrix) return this.#steppedMatrix(weights, gradient, slot, factors)
    const learningRate = factors.learningRate * this.#others.learningRateFactor
    return decayedAndMoved(weights, this.adamDirection(slot, gradient, factors.step), { ...factors, learningRate })
  }

  #steppedMatrix(weights: tf.Tensor, gradient: tf.Tensor, { first }: Slot, factors: StepFactors): tf.Tensor {
    const { momentum, preset } = this.#muon
    first.assign(tf.add(tf.mul(first, momentum), tf.mul(gradient, 1 - momentum)))
    const [ofMomentum, ofGradient] = muonMix(this.#muon, factors.step)
    const mixed = tf.mul(first, ofMomentum)
    const direction = ofGradient === 0 ? mixed : tf.add(mixed, tf.mul(gradient, ofGradient))
    const matrix = matrixOf(weights.shape, preset)
    const orthogonal = orthogonalized(tf.reshape(direction, [matrix.rows, matrix.columns]), this.#muon)
    const step = tf.mul(tf.reshape(orthogonal, weights.shape), muonScale(this.#muon, matrix))
    return decayedAndMoved(weights, step, factors)
  }
}

tf.serialization.registerClass(MuonOptimizer)

/** Newton-Schulz iterations, on the shorter side. A matrix of zeros stays one. */
function orthogonalized(direction: tf.Tensor2D, muon: MuonHyperparameters): tf.Tensor2D {
  const { preset, epsilon, coefficients, newtonSchulzSteps } = muon
  const [a, b, c] = coefficients
  const norm = tf.sqrt(squaredNorm(direction))
  let x: tf.Tensor2D = tf.divNoNan(direction, preset === 'torch' ? tf.maximum(norm, epsilon) : tf.add(norm, epsilon))
  const isTall = x.shape[0] > x.shape[1]
  for (let i = 0; i < newtonSchulzSteps; i++) {
    const gram: tf.Tensor2D = tf.matMul(x, x, isTall, !isTall)
    const polynomial: tf.Tensor2D = tf.add(tf.mul(gram, b), tf.mul(tf.matMul(gram, gram), c))
    x = tf.add(tf.mul(x, a), isTall ? tf.matMul(x, polynomial) : tf.matMul(polynomial, x))
  }
  return x
}

/**
 * Muon (K. Jordan 2024), which TensorFlow.js lacks: the momentum of each matrix is made nearly orthogonal, and AdamW steps
 * all other variables. The mathematics and defaults are those of `muon` in adasum/optim (docs/optimizers.md), with the
 * preset `optax`, whose matrices are [in, out] as kernels are here.
 *
 * @param learningRate - a number, or a function of the number of steps that have been done, such as `cosine` of
 *   adasum/optim returns
 * @returns an optimizer for `model.compile`, `DistributedOptimizer`, or `minimize`
 * @throws AdasumError ERR_ARGUMENT
 */
export function muon(learningRate: number | Schedule, options: MuonOptimizerOptions = {}): MuonOptimizer {
  return new MuonOptimizer(learningRate, options)
}
