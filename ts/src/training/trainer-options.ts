import { OP_CODES } from '../binding/binding.ts'
import { AdasumError } from '../errors.ts'
import { oneOf } from '../tensor/check.ts'
import type { OptionNames, ReduceOp } from '../types.ts'
import { EXCHANGE_OPTIONS, type ExchangeOptions, type StepReduction } from './flat-exchange.ts'
import { checkCount, checkExchangeOptions } from './options.ts'

export const MODES = ['delta', 'gradient'] as const
export type Mode = (typeof MODES)[number]

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
  /** Called after each exchange. */
  onReduction?: (reduction: StepReduction) => void
}

/** The options after their checks, with defaults for those that were left out. */
export interface TrainerSettings {
  exchange: ExchangeOptions
  mode: Mode
  localSteps: number
  accumulate: number
  accumulateOp: ReduceOp
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
  onReduction: true,
  ...EXCHANGE_OPTIONS,
}

/** @throws AdasumError ERR_ARGUMENT for an option that is unknown or out of range */
export function checkTrainerOptions(options: TrainerOptions): TrainerSettings {
  const exchange = checkExchangeOptions(options, TRAINER_OPTIONS)
  const mode = checkMode(options.mode)
  const localSteps = checkCount(options.localSteps, 'localSteps', 1)
  const accumulate = checkCount(options.accumulate, 'accumulate', 1)
  const accumulateOp = checkAccumulateOp(options.accumulateOp)
  if (mode === 'gradient' && localSteps > 1)
    throw new AdasumError(
      'ERR_ARGUMENT',
      `localSteps is ${localSteps}, but mode 'gradient' exchanges at every step. Use accumulate, or mode 'delta'.`,
    )
  return { exchange, mode, localSteps, accumulate, accumulateOp, onReduction: options.onReduction }
}

function checkAccumulateOp(op: unknown): ReduceOp {
  return oneOf(op ?? 'average', Object.keys(OP_CODES) as ReduceOp[], 'accumulateOp')
}

function checkMode(mode: unknown): Mode {
  return oneOf(mode ?? 'delta', MODES, 'mode')
}
