import { OP_CODES } from '../binding/binding.ts'
import { AdasumError } from '../errors.ts'
import { oneOf } from '../tensor/check.ts'
import type { OnNonFinite, OptionNames, ReduceOp } from '../types.ts'
import { EXCHANGE_OPTIONS, type ExchangeOptions, type StepReduction } from './flat-exchange.ts'
import type { LossScale } from './loss-scale-options.ts'
import { LossScaler } from './loss-scaler.ts'
import { checkCount, checkExchangeOptions } from './options.ts'

export const MODES = ['delta', 'gradient'] as const
export type Mode = (typeof MODES)[number]

/** Options of distributed training. */
export interface TrainerOptions extends ExchangeOptions {
  /**
   * `delta` (default): the inner optimizer steps on every rank, and the changes it made are combined.
   * `gradient`: the gradients are combined, and every inner optimizer steps with the result.
   */
  mode?: Mode
  /** Optimizer steps from one exchange to the next. Default 1; mode `delta` only. */
  localSteps?: number
  /** Batches, of one call each, whose gradients make one optimizer step. Default 1. */
  accumulate?: number
  /**
   * By what the gradients of `accumulate` batches are combined. Default `average`. `adasum` keeps a copy of the gradients
   * of each batch.
   */
  accumulateOp?: ReduceOp
  /**
   * Loss scaling: the loss is multiplied by a scale, and gradients are divided by it before anything else is done with
   * them; a step whose gradients have overflowed is skipped. `dynamic` or an object: the scale adapts itself. Default: none.
   */
  lossScale?: LossScale
  /** Called after each exchange. */
  onReduction?: (reduction: StepReduction) => void
}

/** What one call of a training loop says of its batch. */
export interface BatchOptions {
  /**
   * How many samples the batch has, from 0 to 2^53, where its gradients are means over them. They then count by it, within a
   * rank (`accumulate`) and between ranks, with op `average`, `adasum` (with kappa, too), `adascale` and `custom`. With 0 this
   * rank has no samples and goes along: what it computes is not used. Given in every call on every rank, or in none.
   */
  sampleCount?: number
}

export const BATCH_OPTIONS: OptionNames<BatchOptions> = { sampleCount: true }

/** The options after their checks, with defaults for those that were left out. */
export interface TrainerSettings {
  exchange: ExchangeOptions
  mode: Mode
  localSteps: number
  accumulate: number
  accumulateOp: ReduceOp
  /** Undefined: losses are not scaled. */
  lossScaler: LossScaler | undefined
  onReduction: ((reduction: StepReduction) => void) | undefined
}

/** What an adapter's users call things: errors speak to them. */
export interface TrainerWords {
  /** What they have constructed: `DistributedOptimizer`. */
  trainer: string
  /** What they call for each batch: `minimizeAsync()`. */
  step: string
  /** What to do where ranks train different weights. */
  sameWeights: string
  /** What to do where ranks begin with different values of them. */
  equalStart: string
}

const TRAINER_OPTIONS: OptionNames<TrainerOptions> = {
  mode: true,
  localSteps: true,
  accumulate: true,
  accumulateOp: true,
  lossScale: true,
  onReduction: true,
  ...EXCHANGE_OPTIONS,
}

/**
 * @param size - the number of ranks
 * @throws AdasumError ERR_ARGUMENT for an option that is unknown or out of range, ERR_UNSUPPORTED for an operator that does
 *   not take so many ranks
 */
export function checkTrainerOptions(options: TrainerOptions, size: number): TrainerSettings {
  const exchange = checkExchangeOptions(options, TRAINER_OPTIONS, size)
  const mode = checkMode(options.mode)
  const localSteps = checkCount(options.localSteps, 'localSteps', 1)
  const accumulate = checkCount(options.accumulate, 'accumulate', 1)
  const accumulateOp = checkAccumulateOp(options.accumulateOp)
  if (mode === 'gradient' && localSteps > 1)
    throw new AdasumError(
      'ERR_ARGUMENT',
      `localSteps is ${localSteps}, but mode 'gradient' exchanges at every step. Use accumulate, or mode 'delta'.`,
    )
  const lossScaler = options.lossScale === undefined ? undefined : new LossScaler(options.lossScale)
  if (mode === 'gradient' && lossScaler) exchange.onNonFinite = skippingPolicy(options.onNonFinite)
  return { exchange, mode, localSteps, accumulate, accumulateOp, lossScaler, onReduction: options.onReduction }
}

/** With a loss scale one policy alone makes sense: the trainer learns which ranks have overflowed. */
function skippingPolicy(given: OnNonFinite | undefined): OnNonFinite {
  if (given === undefined) return 'skip'
  throw new AdasumError(
    'ERR_ARGUMENT',
    `onNonFinite is ${given}, but with lossScale a gradient that is not finite skips the step on all ranks. Leave onNonFinite out.`,
  )
}

function checkAccumulateOp(op: unknown): ReduceOp {
  return oneOf(op ?? 'average', Object.keys(OP_CODES) as ReduceOp[], 'accumulateOp')
}

function checkMode(mode: unknown): Mode {
  return oneOf(mode ?? 'delta', MODES, 'mode')
}
