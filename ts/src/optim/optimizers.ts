/** The optimizers, from their options. */
import { AdasumError } from '../errors.ts'
import { checkFlag, numberFrom, oneOf, readOptions } from '../tensor/check.ts'
import type { OptionNames } from '../types.ts'
import type { FloatDtype } from './float-array.ts'
import {
  ADAMW_WEIGHT_DECAY,
  type LambPreset,
  lambDefaults,
  limitFrom,
  readAdam,
  readLamb,
  scheduleOf,
} from './hyperparameters.ts'
import { Optimizer } from './optimizer.ts'
import { type Method, type Rule, adamRule, lambRule, sgdRule } from './rules.ts'
import type { Schedule } from './schedules.ts'
import { type OptimizerSegment, type ParameterGroup, planSegments } from './segments.ts'

/** Options of every optimizer. */
export interface OptimizerOptions {
  /** The arrays of the weights, in the order in which they lie one behind the other. */
  readonly segments: readonly OptimizerSegment[]
  /** A number, or one for each step. */
  readonly learningRate: number | Schedule
  /** The dtype of weights, gradient and state. Default f32. */
  readonly dtype?: FloatDtype
  /** The learning rate of segments that belong to no group that says otherwise. */
  readonly weightDecay?: number
  /** Segments with settings of their own. The first group that matches a segment counts. */
  readonly groups?: readonly ParameterGroup[]
  /** The largest norm of the gradient of all segments together; a longer one is scaled down to it. Default none. */
  readonly clipNorm?: number | null
  /** The largest element of the gradient, up or down, after `clipNorm`. Default none. */
  readonly clipValue?: number | null
}

/** Options of `sgd`. */
export interface SgdOptions extends OptimizerOptions {
  /** Default 0. */
  readonly momentum?: number
  /** The part of each gradient but the first that the momentum does not take up. Default 0. */
  readonly dampening?: number
  /** Nesterov's momentum. Default false. */
  readonly nesterov?: boolean
}

/** Options of `adam` and `adamw`. */
export interface AdamOptions extends OptimizerOptions {
  /** Decay of the first moment. Default 0.9. */
  readonly beta1?: number
  /** Decay of the second moment. Default 0.999. */
  readonly beta2?: number
  /** Is added to the root of the second moment. Default 1e-8, with LAMB 1e-6. */
  readonly epsilon?: number
}

/** Options of `lamb`. */
export interface LambOptions extends AdamOptions {
  /** Whose defaults: `paper` (default), `timm` or `apex`. */
  readonly preset?: LambPreset
  /** Whether the ratio of norms is used where there is no weight decay, too. */
  readonly alwaysAdapt?: boolean
  /** Whether the first moment takes 1 - beta1 of each gradient, or all of it. Default true. */
  readonly averageGradients?: boolean
  /** The largest ratio of norms. Default none. */
  readonly maxRatio?: number
}

export const OPTIMIZER_OPTIONS: OptionNames<OptimizerOptions> = {
  segments: true,
  learningRate: true,
  dtype: true,
  weightDecay: true,
  groups: true,
  clipNorm: true,
  clipValue: true,
}
const SGD_OPTIONS: OptionNames<SgdOptions> = { ...OPTIMIZER_OPTIONS, momentum: true, dampening: true, nesterov: true }
const ADAM_OPTIONS: OptionNames<AdamOptions> = { ...OPTIMIZER_OPTIONS, beta1: true, beta2: true, epsilon: true }
const LAMB_OPTIONS: OptionNames<LambOptions> = {
  ...ADAM_OPTIONS,
  preset: true,
  alwaysAdapt: true,
  averageGradients: true,
  maxRatio: true,
}

/**
 * Stochastic gradient descent, with momentum if asked for. Weight decay is added to the gradient.
 *
 *     g += weightDecay w;  b = momentum b + (1 - dampening) g;  w -= rate b, or with nesterov rate (g + momentum b)
 *
 * The first b is the first g, as in PyTorch.
 *
 * @throws AdasumError ERR_ARGUMENT
 */
export function sgd(given: SgdOptions): Optimizer {
  const options = readOptions(given, SGD_OPTIONS)
  const momentum = numberFrom(options.momentum ?? 0, 'momentum', { least: 0, below: 1 })
  const dampening = numberFrom(options.dampening ?? 0, 'dampening', { least: 0, below: 1 })
  const nesterov = checkFlag(options.nesterov, 'nesterov')
  if (nesterov && (momentum === 0 || dampening !== 0))
    throw new AdasumError(
      'ERR_ARGUMENT',
      `nesterov takes a momentum above 0 and a dampening of 0; they are ${momentum} and ${dampening}. Change these, or leave nesterov out.`,
    )
  return newOptimizer(sgdRule({ momentum, dampening, nesterov }), options, { weightDecay: 0 })
}

/**
 * Adam (arXiv 1412.6980, Algorithm 1). Weight decay is added to the gradient (L2), as in PyTorch; see `adamw`.
 *
 * @throws AdasumError ERR_ARGUMENT
 */
export function adam(given: AdamOptions): Optimizer {
  const options = readOptions(given, ADAM_OPTIONS)
  return newOptimizer(adamRule(readAdam(options), 'l2'), options, { weightDecay: 0 })
}

/**
 * Adam with decoupled weight decay (arXiv 1711.05101): w *= 1 - rate weightDecay comes first, so the decay follows the
 * schedule. Its default is 0.01.
 *
 * @throws AdasumError ERR_ARGUMENT
 */
export function adamw(given: AdamOptions): Optimizer {
  const options = readOptions(given, ADAM_OPTIONS)
  return newOptimizer(adamRule(readAdam(options), 'decoupled'), options, { weightDecay: ADAMW_WEIGHT_DECAY })
}

/**
 * LAMB (arXiv 1904.00962, Algorithm 2): Adam's direction, plus weightDecay w, is scaled to the norm of the segment's
 * weights; by 1 if a norm is 0. The presets differ in defaults alone (docs/optimizers.md).
 *
 * @throws AdasumError ERR_ARGUMENT
 */
export function lamb(given: LambOptions): Optimizer {
  const options = readOptions(given, LAMB_OPTIONS)
  const { averageGradients = true } = options
  const averagesGradients = checkFlag(averageGradients, 'averageGradients')
  const rule = lambRule({ ...readLamb(options), averagesGradients })
  return newOptimizer(rule, options, lambDefaults(options.preset))
}

interface Defaults {
  readonly weightDecay: number
  readonly clipNorm?: number | null
}

function newOptimizer(rule: Rule, options: OptimizerOptions, { weightDecay, clipNorm }: Defaults): Optimizer {
  const method: Method = {
    rule,
    weightDecay: numberFrom(options.weightDecay ?? weightDecay, 'weightDecay', { least: 0 }),
    learningRateFactor: 1,
  }
  return optimizerOf({ ...(clipNorm !== undefined && { clipNorm }), ...options }, () => method)
}

/** @throws AdasumError ERR_ARGUMENT; and whatever `methodOf` throws */
export function optimizerOf(options: OptimizerOptions, methodOf: (segment: OptimizerSegment) => Method): Optimizer {
  const { learningRate, dtype = 'f32', clipNorm, clipValue } = options
  const segments = planSegments(options.segments, options.groups)
  return new Optimizer({
    methods: segments.segments.map(methodOf),
    dtype: oneOf(dtype, ['f32', 'f64'], 'dtype'),
    segments,
    schedule: scheduleOf(learningRate),
    clipNorm: limitFrom(clipNorm, 'clipNorm'),
    clipValue: limitFrom(clipValue, 'clipValue'),
  })
}
