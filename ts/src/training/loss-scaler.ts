/**
 * Dynamic loss scaling. The loss is multiplied by a scale, so that gradients which are computed or sent in a half format
 * do not underflow, and the gradients are divided by it before the step. Where a gradient has overflowed the step is
 * skipped and the scale lowered; after enough good steps it is raised again.
 *
 * Scales are powers of two: scaling rounds nothing, and Adasum of scaled gradients is the scaled Adasum, bit for bit.
 *
 * Ranks agree without a message of their own: the results of an all-reduce have the same bits on every rank, and so has
 * the list of ranks whose input was not finite. Each rank looks at both, and comes to the same verdict.
 */
import { AdasumError, inspect, reading } from '../errors.ts'
import { checkArray, checkFlag, kindOf, wholeNumber } from '../tensor/check.ts'
import type { FloatArray, NamedArrays, Reduction } from '../types.ts'
import { checkLossScale, type LossScale, type LossScaleSettings, powerOfTwo } from './loss-scale-options.ts'

/** What a scaler knows: plain JSON, for a checkpoint. */
export type LossScaleState = {
  /** What losses are multiplied by. */
  readonly scale: number
  /** Steps without an overflow since the scale last changed. */
  readonly goodSteps: number
  /** Steps that were skipped since the beginning. */
  readonly skippedSteps: number
}

/** Gradients: one array, or some by name. */
export type ScaledArrays = FloatArray | NamedArrays

/** What a scaler needs of a reduction. */
export type ScaledReduction = Pick<Reduction<ScaledArrays>, 'result' | 'nonFiniteRanks'>

/**
 * The scale of a loss, for training loops of one's own. Every rank makes one with the same options, and tells it of every
 * exchange of gradients; then all have the same scale at every step.
 *
 * @example
 * const scaler = new LossScaler()
 * const gradient = gradientOf((loss) => loss * scaler.scale)
 * const reduction = await comm.allReduce(gradient, { op: 'adasum', onNonFinite: 'skip' })
 * if (scaler.unscale(reduction)) optimizer.stepSync(weights, gradient)
 * scaler.update()
 */
export class LossScaler {
  /** The options, with their defaults. */
  readonly settings: LossScaleSettings
  #state: LossScaleState
  /** What has been found since the last update. */
  #verdict: 'none' | 'finite' | 'overflow' = 'none'

  /**
   * @param lossScale - default `dynamic`
   * @throws AdasumError ERR_ARGUMENT for an option that is unknown, out of range or no power of two
   */
  constructor(lossScale: LossScale = 'dynamic') {
    this.settings = checkLossScale(lossScale)
    this.#state = { scale: this.settings.initialScale, goodSteps: 0, skippedSteps: 0 }
  }

  /** What the loss is to be multiplied by now. */
  get scale(): number {
    return this.#state.scale
  }

  /** Steps that were skipped since the beginning, those before a restored state included. */
  get skippedSteps(): number {
    return this.#state.skippedSteps
  }

  /**
   * Looks at the result of an exchange, and divides it by the scale, in place, if the step may be taken.
   *
   * @returns whether every number of every rank is finite: the same on all ranks. If not, skip the step
   * @throws AdasumError ERR_ARGUMENT for a result that is no Float32Array or Float64Array, or several by name
   */
  unscale(reduction: ScaledReduction): boolean {
    const isFinite = this.check(reduction)
    if (isFinite) this.divide(reduction.result)
    return isFinite
  }

  /**
   * As `unscale`, but leaves the result as it is: for gradients that were divided before the exchange.
   *
   * @throws AdasumError ERR_ARGUMENT as `unscale`
   */
  check(reduction: ScaledReduction): boolean {
    const { result, nonFiniteRanks } = readReduction(reduction)
    const isFinite = nonFiniteRanks.length === 0 && arraysOf(result).every(areFinite)
    this.record(isFinite)
    return isFinite
  }

  /**
   * Divides arrays by the scale, in place.
   *
   * @throws AdasumError ERR_ARGUMENT for what is no Float32Array or Float64Array, or several by name
   */
  divide(arrays: ScaledArrays): void {
    const factor = 1 / this.#state.scale
    for (const array of arraysOf(arrays)) for (let i = 0; i < array.length; i++) array[i]! *= factor
  }

  /**
   * Takes in a verdict that was found in another way. It must be the same on every rank.
   *
   * @param isFinite - whether gradients of the step were finite; one that was not is enough to skip it
   * @throws AdasumError ERR_ARGUMENT if it is no boolean
   */
  record(isFinite: boolean): void {
    if (!checkFlag(isFinite, 'isFinite')) this.#verdict = 'overflow'
    else if (this.#verdict === 'none') this.#verdict = 'finite'
  }

  /**
   * Ends a step, whether it was taken or skipped: lowers the scale after an overflow, raises it after `growthInterval` good
   * steps. Call it once a step, after all of the step's exchanges.
   *
   * @throws AdasumError ERR_NOT_READY if there was no `unscale`, `check` or `record` since the last update
   */
  update(): void {
    if (this.#verdict === 'none')
      throw new AdasumError(
        'ERR_NOT_READY',
        'update() was called, and no gradient was looked at since the last update. Call unscale(reduction) first.',
      )
    this.#state = this.#verdict === 'finite' ? this.#afterGoodStep() : this.#afterOverflow()
    this.#verdict = 'none'
  }

  /** A copy of what it knows. */
  state(): LossScaleState {
    return { ...this.#state }
  }

  /**
   * Goes on from a state, on every rank from the same one.
   *
   * @throws AdasumError ERR_ARGUMENT if it is no state, or its scale is outside of the bounds
   */
  restore(state: LossScaleState): void {
    if (typeof state !== 'object' || state === null)
      throw new AdasumError(
        'ERR_ARGUMENT',
        `the state must be an object; got ${kindOf(state)}. Pass what state() gave.`,
      )
    const { scale, goodSteps, skippedSteps } = reading('the state', () => ({ ...state }))
    const { minScale, maxScale } = this.settings
    this.#state = {
      scale: powerOfTwo(scale, 'scale', minScale, maxScale),
      goodSteps: wholeNumber(goodSteps, 'goodSteps'),
      skippedSteps: wholeNumber(skippedSteps, 'skippedSteps'),
    }
    this.#verdict = 'none'
  }

  #afterOverflow(): LossScaleState {
    const { backoffFactor, minScale } = this.settings
    const { scale, skippedSteps } = this.#state
    return { scale: Math.max(minScale, scale * backoffFactor), goodSteps: 0, skippedSteps: skippedSteps + 1 }
  }

  #afterGoodStep(): LossScaleState {
    const { growthFactor, growthInterval, maxScale } = this.settings
    const { scale, goodSteps } = this.#state
    if (goodSteps + 1 < growthInterval) return { ...this.#state, goodSteps: goodSteps + 1 }
    return { ...this.#state, scale: Math.min(maxScale, scale * growthFactor), goodSteps: 0 }
  }
}

/** Whether no element is NaN or infinite. */
export function areFinite(array: FloatArray): boolean {
  for (let i = 0; i < array.length; i++) if (!Number.isFinite(array[i])) return false
  return true
}

function readReduction(reduction: unknown): ScaledReduction {
  const { result, nonFiniteRanks } = (reduction ?? {}) as Partial<ScaledReduction>
  if (result !== undefined && Array.isArray(nonFiniteRanks)) return { result, nonFiniteRanks }
  throw new AdasumError(
    'ERR_ARGUMENT',
    `the reduction must be what \`await comm.allReduce(...)\` gives; got ${kindOf(reduction)}.`,
  )
}

function arraysOf(arrays: ScaledArrays): FloatArray[] {
  const isOne = ArrayBuffer.isView(arrays) || typeof arrays !== 'object' || arrays === null
  const named: [string, unknown][] = isOne ? [['the gradient', arrays]] : Object.entries(arrays)
  return named.map(([name, array]) => {
    const { name: found } = checkArray(array, inspect(name))
    if (found === 'f32' || found === 'f64') return array as FloatArray
    throw new AdasumError(
      'ERR_ARGUMENT',
      `${inspect(name)} is ${found}, and gradients are unscaled in f32 or f64. Let allReduce store halves in \`out\`, a Float32Array.`,
    )
  })
}
