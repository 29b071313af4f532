import { AdasumError, inspect } from '../errors.ts'
import { kindOf, numberFrom, readOptions } from '../tensor/check.ts'
import type { OptionNames } from '../types.ts'
import { muonDefaults, readAdam, readMuon } from './hyperparameters.ts'
import type { Optimizer } from './optimizer.ts'
import { OPTIMIZER_OPTIONS, type OptimizerOptions, optimizerOf } from './optimizers.ts'
import { adamRule, type Method, type MuonPreset, muonRule } from './rules.ts'
import type { OptimizerSegment } from './segments.ts'

/** How AdamW steps the segments that are no matrices. */
export interface MuonAdamWOptions {
  /** Decay of the first moment. Default 0.9. */
  readonly beta1?: number
  /** Decay of the second moment. Default 0.999. */
  readonly beta2?: number
  /** Is added to the root of the second moment. Default 1e-8. */
  readonly epsilon?: number
  /** Default 0.01, or 0 with the preset `optax`. */
  readonly weightDecay?: number
  /** The learning rate is multiplied by it. Default 1. */
  readonly learningRateFactor?: number
}

/** How matrices are stepped, on arrays and in TensorFlow.js alike. */
export interface MuonMatrixOptions {
  /** Decay of the momentum. Default 0.95. */
  readonly momentum?: number
  /** Nesterov's momentum. Default true. */
  readonly nesterov?: boolean
  /** Keeps the norm by which a matrix is divided from zero. Default 1e-7, or 1e-8 with the preset `optax`. */
  readonly epsilon?: number
  /** a, b and c of a Newton-Schulz iteration. Default 3.4445, -4.775, 2.0315. */
  readonly coefficients?: readonly [a: number, b: number, c: number]
  /** How many iterations, 100 at most. Default 5. */
  readonly newtonSchulzSteps?: number
  /**
   * The root mean square of a whole matrix's step, in units of the rate: 0.2 is about that of Adam, and what PyTorch
   * calls `match_rms_adamw`. Null (default): a step is scaled as the preset does it.
   */
  readonly consistentRms?: number | null
}

/** `weightDecay` is that of matrices: 0.1 by default, or 0 with the preset `optax`. */
export interface MuonOptions extends OptimizerOptions, MuonMatrixOptions {
  /** Whose conventions and defaults: `torch` (default) for matrices that are [out, in], or `optax` for [in, out]. */
  readonly preset?: MuonPreset
  /** Which segments are orthogonalized; AdamW steps the others. Default those with two dimensions. */
  readonly orthogonalizes?: (segment: OptimizerSegment) => boolean
  /** How segments that are no matrices are stepped. */
  readonly adamw?: MuonAdamWOptions
}

export const MUON_MATRIX_OPTIONS: OptionNames<MuonMatrixOptions> = {
  momentum: true,
  nesterov: true,
  epsilon: true,
  coefficients: true,
  newtonSchulzSteps: true,
  consistentRms: true,
}
const MUON_OPTIONS: OptionNames<MuonOptions> = {
  ...OPTIMIZER_OPTIONS,
  preset: true,
  ...MUON_MATRIX_OPTIONS,
  orthogonalizes: true,
  adamw: true,
}
export const MUON_ADAMW_OPTIONS: OptionNames<MuonAdamWOptions> = {
  beta1: true,
  beta2: true,
  epsilon: true,
  weightDecay: true,
  learningRateFactor: true,
}

/**
 * Muon (K. Jordan 2024, kellerjordan.github.io/posts/muon): the momentum of each matrix is made nearly orthogonal by
 * Newton-Schulz iterations, so that a step moves in all directions alike. Decay is decoupled, as AdamW's; AdamW steps
 * what is no matrix. Segments with more dimensions than two that `orthogonalizes` admits are matrices of outputs and all
 * others. The presets differ in conventions and defaults (docs/optimizers.md).
 *
 * @throws AdasumError ERR_ARGUMENT, also for an admitted segment with fewer dimensions than two; and whatever
 *   `orthogonalizes` throws
 */
export function muon(given: MuonOptions): Optimizer {
  const options = readOptions(given, MUON_OPTIONS)
  const { orthogonalizes = isMatrix } = options
  if (typeof orthogonalizes !== 'function')
    throw new AdasumError(
      'ERR_ARGUMENT',
      `orthogonalizes must be a function of a segment; got ${kindOf(orthogonalizes)}.`,
    )
  const { preset, ...defaults } = muonDefaults(options.preset ?? 'torch')
  const matrices: Method = {
    rule: muonRule(readMuon(options, preset)),
    weightDecay: numberFrom(options.weightDecay ?? defaults.weightDecay, 'weightDecay', { least: 0 }),
    learningRateFactor: 1,
  }
  const others = otherMethod(options.adamw, defaults.otherWeightDecay)
  return optimizerOf(options, (segment) => {
    if (orthogonalizes(segment) !== true) return others
    checkMatrix(segment.shape, `segment ${inspect(segment.name)}`)
    return matrices
  })
}

const isMatrix = ({ shape }: OptimizerSegment): boolean => shape.length === 2

function otherMethod(given: MuonAdamWOptions = {}, defaultDecay: number): Method {
  const { weightDecay = defaultDecay, learningRateFactor = 1, ...moments } = readOptions(given, MUON_ADAMW_OPTIONS)
  return {
    rule: adamRule(readAdam(moments), 'decoupled'),
    weightDecay: numberFrom(weightDecay, 'adamw.weightDecay', { least: 0 }),
    learningRateFactor: numberFrom(learningRateFactor, 'adamw.learningRateFactor', { least: 0 }),
  }
}

/** @throws AdasumError ERR_ARGUMENT */
export function checkMatrix(shape: readonly number[], what: string): void {
  if (shape.length >= 2) return
  throw new AdasumError(
    'ERR_ARGUMENT',
    `${what} is [${shape.join()}], and Muon takes two dimensions or more. Leave it to AdamW.`,
  )
}
