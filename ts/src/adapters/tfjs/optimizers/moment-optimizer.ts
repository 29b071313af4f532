/**
 * What AdamW, LAMB and Muon have in common: moments, their bias corrections, clipping, and how tfjs saves an optimizer. A step
 * is made of tfjs's operations alone, and no value is brought to the host, which synchronous code could not wait for.
 */
import * as tf from '@tensorflow/tfjs-core'
import { reading } from '../../../errors.ts'
import { power } from '../../../optim/exact-math.ts'
import { rateAfter, scheduleOf } from '../../../optim/hyperparameters.ts'
import type { AdamHyperparameters } from '../../../optim/rules.ts'
import type { Schedule } from '../../../optim/schedules.ts'
import { wholeNumber } from '../../../tensor/check.ts'
import type { OptionNames } from '../../../types.ts'
import { answerFor, choiceList, type Decays } from './choices.ts'
import { clippingScale, variableGradients } from './gradients.ts'
import { Moments, type NamedTensor, type Slot } from './moments.ts'

/** Options that AdamW and LAMB share. */
export interface MomentOptimizerOptions {
  /** Decay of the first moment. Default 0.9. */
  readonly beta1?: number
  /** Decay of the second moment. Default 0.999. */
  readonly beta2?: number
  /** Is added to the root of the second moment. */
  readonly epsilon?: number
  /** The decay of the variables that `decays` does not except. */
  readonly weightDecay?: number
  /**
   * Which variables decay: a function of name and shape, which is asked once for each variable; or a list, by the
   * position of each variable in the first step that has it. Default all.
   */
  readonly decays?: Decays
  /** The largest norm of the gradients of a step together; longer ones are scaled down to it. */
  readonly clipNorm?: number | null
}

export const MOMENT_OPTIONS: OptionNames<MomentOptimizerOptions> = {
  beta1: true,
  beta2: true,
  epsilon: true,
  weightDecay: true,
  decays: true,
  clipNorm: true,
}

/** Checked options. */
export interface MomentPlan {
  readonly hyperparameters: AdamHyperparameters
  readonly weightDecay: number
  readonly decays: Decays | undefined
  /** Infinity for none. */
  readonly clipNorm: number
  /** Whether there may be variables without a second moment. */
  readonly hasMatrices?: boolean
}

/** The factors of a step of one variable. */
export interface StepFactors {
  /** The number of the step, from 1. */
  readonly step: number
  readonly learningRate: number
  readonly weightDecay: number
}

export abstract class MomentOptimizer extends tf.Optimizer {
  readonly #plan: MomentPlan
  readonly #moments: Moments
  #learningRate: number | Schedule

  constructor(learningRate: number | Schedule, plan: MomentPlan) {
    super()
    scheduleOf(learningRate)
    this.#learningRate = learningRate
    this.#plan = plan
    this.#moments = new Moments(plan.hasMatrices ?? false)
  }

  /** A number, or a function of the number of steps that have been done. May be set between steps. */
  get learningRate(): number | Schedule {
    return this.#learningRate
  }

  /** Sets the rate of the next steps. */
  set learningRate(learningRate: number | Schedule) {
    scheduleOf(learningRate)
    this.#learningRate = learningRate
  }

  /**
   * One step. What is not finite is not noticed: it gets into moments and weights.
   *
   * @throws AdasumError ERR_ARGUMENT for a variable that does not exist or has another shape than its gradient or its
   *   moments, or a learning rate that is not finite; then nothing has changed
   */
  applyGradients(given: tf.NamedTensorMap | NamedTensor[]): void {
    const gradients = variableGradients(given)
    const learningRate = this.#rateOfNextStep()
    const variables = gradients.map(([variable]) => variable)
    const slots = this.#moments.of(variables, (variable, index) => ({
      decays: this.#decaysAt(variable, index),
      isMatrix: this.isMatrix(variable, index),
    }))
    const step = this.iterations + 1
    tf.tidy(() => {
      const scale = clippingScale(gradients, this.#plan.clipNorm)
      for (const [index, [variable, gradient]] of gradients.entries())
        if (gradient)
          // A scope for each, so that the intermediates of one variable alone take memory.
          tf.tidy(() => {
            const slot = slots[index]!
            const weightDecay = slot.traits!.decays ? this.weightDecayOf(slot) : 0
            const scaled = scale ? tf.mul(gradient, scale) : gradient
            variable.assign(this.stepped(variable, scaled, slot, { step, learningRate, weightDecay }))
          })
    })
    this.incrementIterations()
  }

  /**
   * The number of steps, then all first moments, then all second ones, as tf.AdamOptimizer has them; in the order of the
   * variables in the last step.
   */
  override async getWeights(): Promise<NamedTensor[]> {
    return [await this.saveIterations(), ...this.#moments.save()]
  }

  /**
   * Takes over what `getWeights` returned, here or in another process. The moments go to the variables of the next steps
   * by position.
   *
   * @throws AdasumError ERR_ARGUMENT (as a rejection), and then nothing has changed
   */
  override async setWeights(values: NamedTensor[]): Promise<void> {
    const [iterations, ...moments] = reading('the weights of the optimizer', () => [...values])
    const stepCount = wholeNumber((await iterations?.tensor.data())?.[0], 'the step count, which comes first,')
    this.#moments.restore(moments)
    this.iterations_ = stepCount
  }

  override dispose(): void {
    this.#moments.dispose()
  }

  /**
   * What makes an equal optimizer, as JSON can hold it: `decays` as a list, and a schedule as its rate for the next step.
   *
   * @throws AdasumError ERR_NOT_READY if `decays` is a function and not all variables are known
   */
  getConfig(): tf.serialization.ConfigDict {
    const { hyperparameters, weightDecay, clipNorm } = this.#plan
    return {
      learningRate: this.#rateOfNextStep(),
      ...hyperparameters,
      weightDecay,
      decays: this.#decayList(),
      clipNorm: clipNorm === Infinity ? null : clipNorm,
    }
  }

  static override fromConfig<T extends tf.serialization.Serializable>(
    cls: tf.serialization.SerializableConstructor<T>,
    config: tf.serialization.ConfigDict,
  ): T {
    // tfjs-layers adds customObjects to what was saved.
    const { learningRate, customObjects: _, ...options } = config
    return new cls(learningRate, Object.fromEntries(Object.entries(options).filter(([, value]) => value !== null)))
  }

  /** The new weights. It updates the moments of the slot. */
  protected abstract stepped(weights: tf.Tensor, gradient: tf.Tensor, slot: Slot, factors: StepFactors): tf.Tensor

  /** Whether a variable has a momentum alone, and no second moment. */
  protected isMatrix(_variable: tf.Variable, _index: number): boolean {
    return false
  }

  /** That of a variable that decays. */
  protected weightDecayOf(_slot: Slot): number {
    return this.#plan.weightDecay
  }

  /** What is known of each variable so far, in the order of the last step. */
  protected get slots(): readonly Slot[] {
    return this.#moments.slots
  }

  /** Updates the moments of a variable. Returns first over root of second, both bias corrected. */
  protected adamDirection({ first, second }: Slot, gradient: tf.Tensor, step: number): tf.Tensor {
    const { beta1, beta2, epsilon } = this.#plan.hyperparameters
    first.assign(tf.add(tf.mul(first, beta1), tf.mul(gradient, 1 - beta1)))
    second.assign(tf.add(tf.mul(second, beta2), tf.mul(tf.square(gradient), 1 - beta2)))
    const root = tf.div(tf.sqrt(second), Math.sqrt(1 - power(beta2, step)))
    return tf.div(tf.div(first, 1 - power(beta1, step)), tf.add(root, epsilon))
  }

  #rateOfNextStep(): number {
    return rateAfter(this.iterations, scheduleOf(this.#learningRate))
  }

  #decaysAt(variable: tf.Variable, index: number): boolean {
    const { decays } = this.#plan
    return decays === undefined || answerFor(decays, 'decays', variable, index)
  }

  #decayList(): boolean[] | null {
    const { decays } = this.#plan
    if (decays === undefined) return null
    const answers = this.slots.map(({ traits }) => traits?.decays)
    return choiceList(decays, 'decays', answers)
  }
}
