/**
 * Learning rates as functions of the number of steps that have been done. All of them begin with a warm-up, if one is
 * asked for: rate / warmupSteps in the first step, 2 rate / warmupSteps in the second, and so on.
 *
 * They are made of exact arithmetic (exact-math.ts), so that ranks that count the same steps have the same rate.
 */
import { AdasumError, inspect } from '../errors.ts'
import { numberFrom, readOptions, wholeNumber } from '../tensor/check.ts'
import type { OptionNames } from '../types.ts'
import { cosPi, power } from './exact-math.ts'

/** The learning rate of the next step. @param stepCount - steps that have been done: 0 before the first */
export type Schedule = (stepCount: number) => number

/** Options of every schedule. */
export interface ScheduleOptions {
  /** The highest rate. */
  readonly rate: number
  /** Steps of the warm-up, in which the rate grows linearly. Default 0. */
  readonly warmupSteps?: number
}

/** Options of `linear` and `cosine`. */
export interface DecayOptions extends ScheduleOptions {
  /** Steps of the whole schedule, warm-up included. From then on the rate is `endRate`. */
  readonly steps: number
  /** Default 0. */
  readonly endRate?: number
}

/** Options of `stepDecay`. */
export interface StepDecayOptions extends ScheduleOptions {
  /** After so many steps, counted from the end of the warm-up, the rate is multiplied by `factor`, and so on. */
  readonly every: number
  /** What the rate is multiplied by each time. */
  readonly factor: number
}

/** Options of `warmupStableDecay`. */
export interface StableDecayOptions extends DecayOptions {
  /** The last steps, in which the rate falls linearly. */
  readonly decaySteps: number
}

const SCHEDULE_OPTIONS: OptionNames<ScheduleOptions> = { rate: true, warmupSteps: true }
const DECAY_OPTIONS: OptionNames<DecayOptions> = { ...SCHEDULE_OPTIONS, steps: true, endRate: true }
const STEP_OPTIONS: OptionNames<StepDecayOptions> = { ...SCHEDULE_OPTIONS, every: true, factor: true }
const STABLE_OPTIONS: OptionNames<StableDecayOptions> = { ...DECAY_OPTIONS, decaySteps: true }

/**
 * The same rate in all steps after the warm-up.
 *
 * @throws AdasumError ERR_ARGUMENT
 */
export function constant(given: ScheduleOptions): Schedule {
  const options = readSchedule(given, SCHEDULE_OPTIONS)
  return warmedUp(options, () => options.rate)
}

/**
 * rate factor^k after k times `every` steps.
 *
 * @throws AdasumError ERR_ARGUMENT
 */
export function stepDecay(given: StepDecayOptions): Schedule {
  const options = readSchedule(given, STEP_OPTIONS)
  const every = wholeNumber(options.every, 'every', { least: 1 })
  const factor = numberFrom(options.factor, 'factor', { least: 0 })
  return warmedUp(options, (stepCount) => options.rate * power(factor, Math.floor(stepCount / every)))
}

/**
 * Falls linearly from `rate` to `endRate`.
 *
 * @throws AdasumError ERR_ARGUMENT
 */
export function linear(given: DecayOptions): Schedule {
  return decaying(readSchedule(given, DECAY_OPTIONS), (progress) => 1 - progress)
}

/**
 * Falls along half a cosine from `rate` to `endRate` (arXiv 1608.03983, without restarts).
 *
 * @throws AdasumError ERR_ARGUMENT
 */
export function cosine(given: DecayOptions): Schedule {
  return decaying(readSchedule(given, DECAY_OPTIONS), (progress) => (1 + cosPi(progress)) / 2)
}

/**
 * Warm-up, stable, decay: `rate` until the last `decaySteps`, in which it falls linearly to `endRate` (arXiv
 * 2404.06395).
 *
 * @throws AdasumError ERR_ARGUMENT
 */
export function warmupStableDecay(given: StableDecayOptions): Schedule {
  const options = readSchedule(given, STABLE_OPTIONS)
  const stepCount = decayStepCount(options)
  const decaySteps = wholeNumber(options.decaySteps, 'decaySteps', { least: 1 })
  if (decaySteps > stepCount)
    throw new AdasumError(
      'ERR_ARGUMENT',
      `decaySteps is ${decaySteps}, and ${stepCount} steps follow the warm-up. Let the decay fit into them.`,
    )
  return decaying(options, (progress) => Math.min(1, ((1 - progress) * stepCount) / decaySteps))
}

function readSchedule<O extends ScheduleOptions>(given: O, known: OptionNames<O>): O {
  const options = readOptions(given, known)
  numberFrom(options.rate, 'rate', { least: 0 })
  return options
}

function warmedUp({ rate, warmupSteps: given }: ScheduleOptions, after: Schedule): Schedule {
  const warmupSteps = given === undefined ? 0 : wholeNumber(given, 'warmupSteps')
  return (stepCount) =>
    stepCount < warmupSteps ? (rate * (stepCount + 1)) / warmupSteps : after(stepCount - warmupSteps)
}

/** The number of steps that follow the warm-up. */
function decayStepCount({ steps, warmupSteps = 0 }: DecayOptions): number {
  wholeNumber(steps, 'steps', { least: 1 })
  if (steps > warmupSteps) return steps - warmupSteps
  throw new AdasumError(
    'ERR_ARGUMENT',
    `steps is ${steps}, and ${inspect(warmupSteps)} of them are the warm-up. Let steps follow it.`,
  )
}

/** @param shapeOf - the part of the way from `endRate` to `rate`, by the progress from 0 to 1 */
function decaying(options: DecayOptions, shapeOf: (progress: number) => number): Schedule {
  const { rate } = options
  const endRate = options.endRate === undefined ? 0 : numberFrom(options.endRate, 'endRate', { least: 0 })
  const decaySteps = decayStepCount(options)
  return warmedUp(options, (stepCount) => endRate + (rate - endRate) * shapeOf(Math.min(1, stepCount / decaySteps)))
}
