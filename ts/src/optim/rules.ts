/**
 * What tells optimizers apart: the state that they keep, and the factors that the kernel of each rule takes (binding.ts,
 * `step`), from the hyperparameters of a group of segments.
 */
import { STEP_RULE_CODES } from '../binding/binding.ts'
import { power } from './exact-math.ts'

/** The hyperparameters of a group of segments in one step. */
export interface StepContext {
  readonly learningRate: number
  readonly weightDecay: number
  /** The gradient is multiplied by it first: what clipping by norm leaves. */
  readonly gradientScale: number
  /** Elements of the gradient are limited to it. */
  readonly clipValue: number
  /** The number of this step, from 1. */
  readonly step: number
}

export interface Rule {
  readonly code: number
  /** The names of the arrays of state, of which each has as many elements as the weights. */
  readonly stateNames: readonly string[]
  /** Whether segments are stepped one by one, because their norms matter. */
  readonly isBySegment: boolean
  /** The row of factors of a group. */
  readonly factors: (context: StepContext) => readonly number[]
  /** If there is one, what `factors` are for writes a direction, which becomes the step once it is orthogonalized. */
  readonly orthogonalization?: Orthogonalization
}

/** How the direction of a segment, as a matrix, is orthogonalized. */
export interface Orthogonalization {
  /** The factors of the kernel (binding.ts, `orthogonalize`). */
  readonly factors: Float64Array
  readonly matrixOf: (shape: readonly number[]) => MatrixShape
  /** The step is so many times the orthogonal matrix, times the rate. */
  readonly scaleOf: (matrix: MatrixShape) => number
}

export interface MatrixShape {
  readonly rows: number
  readonly columns: number
}

/** How a segment is stepped, with the hyperparameters that count unless its group has its own. */
export interface Method {
  readonly rule: Rule
  readonly weightDecay: number
  /** Besides the group's. */
  readonly learningRateFactor: number
}

export interface SgdHyperparameters {
  readonly momentum: number
  readonly dampening: number
  readonly nesterov: boolean
}

/** Gradient descent; the decay is added to the gradient (L2), as in PyTorch. */
export function sgdRule({ momentum, dampening, nesterov }: SgdHyperparameters): Rule {
  const common = ({ gradientScale, clipValue, learningRate, weightDecay }: StepContext): number[] => [
    gradientScale,
    clipValue,
    learningRate,
    weightDecay,
    1,
  ]
  if (momentum === 0) return { code: STEP_RULE_CODES.sgd, stateNames: [], isBySegment: false, factors: common }
  return {
    code: STEP_RULE_CODES.momentum,
    stateNames: ['momentum'],
    isBySegment: false,
    // The first gradient is the first momentum, as it is.
    factors: (context) => [...common(context), momentum, context.step === 1 ? 1 : 1 - dampening, Number(nesterov)],
  }
}

export interface AdamHyperparameters {
  readonly beta1: number
  readonly beta2: number
  readonly epsilon: number
}

/** @param decay - whether the decay is added to the gradient (`l2`), or multiplies the weights first (`decoupled`) */
export function adamRule(hyperparameters: AdamHyperparameters, decay: 'l2' | 'decoupled'): Rule {
  return {
    code: STEP_RULE_CODES.adam,
    stateNames: ['m', 'v'],
    isBySegment: false,
    factors: (context) => {
      const { gradientScale, clipValue, learningRate, weightDecay } = context
      const [l2, keep] = decay === 'l2' ? [weightDecay, 1] : [0, 1 - learningRate * weightDecay]
      const moments = momentFactors(hyperparameters, 1 - hyperparameters.beta1, context.step)
      return [gradientScale, clipValue, learningRate, l2, keep, ...moments]
    },
  }
}

export interface LambHyperparameters extends AdamHyperparameters {
  readonly alwaysAdapt: boolean
  readonly averagesGradients: boolean
  readonly maxRatio: number
}

export function lambRule(hyperparameters: LambHyperparameters): Rule {
  const { beta1, alwaysAdapt, averagesGradients, maxRatio } = hyperparameters
  return {
    code: STEP_RULE_CODES.lamb,
    stateNames: ['m', 'v'],
    isBySegment: true,
    factors: ({ gradientScale, clipValue, learningRate, weightDecay, step }) => {
      const moments = momentFactors(hyperparameters, averagesGradients ? 1 - beta1 : 1, step)
      const adapts = Number(alwaysAdapt || weightDecay !== 0)
      return [gradientScale, clipValue, learningRate, 0, 1, ...moments, weightDecay, adapts, maxRatio]
    },
  }
}

function momentFactors({ beta1, beta2, epsilon }: AdamHyperparameters, taken1: number, step: number): number[] {
  const [correction1, correction2] = [1 - power(beta1, step), 1 - power(beta2, step)]
  return [beta1, taken1, beta2, 1 - beta2, epsilon, correction1, Math.sqrt(correction2)]
}

export interface MuonHyperparameters {
  /** Decay of the momentum, which is a mean of the gradients. */
  readonly momentum: number
  readonly nesterov: boolean
  /** Keeps the divisor from being zero. */
  readonly epsilon: number
  /** Those of each Newton-Schulz iteration. */
  readonly coefficients: readonly [a: number, b: number, c: number]
  readonly newtonSchulzSteps: number
  /** The root mean square of a step, in units of the rate; null for the preset's scale. */
  readonly consistentRms: number | null
  readonly preset: MuonPreset
}

/** Whose conventions: `torch`, where a matrix is [out, in], or `optax`, where it is [in, out]. */
export type MuonPreset = 'torch' | 'optax'

export function muonRule(hyperparameters: MuonHyperparameters): Rule {
  const { momentum, epsilon, coefficients, newtonSchulzSteps, preset } = hyperparameters
  const norm = preset === 'torch' ? [0, epsilon] : [epsilon, 0]
  return {
    code: STEP_RULE_CODES.muon,
    stateNames: ['momentum'],
    isBySegment: true,
    factors: ({ gradientScale, clipValue, step }) => [
      gradientScale,
      clipValue,
      momentum,
      1 - momentum,
      ...muonMix(hyperparameters, step),
    ],
    orthogonalization: {
      factors: Float64Array.from([...norm, ...Array.from({ length: newtonSchulzSteps }, () => coefficients).flat()]),
      matrixOf: (shape) => matrixOf(shape, preset),
      scaleOf: (matrix) => muonScale(hyperparameters, matrix),
    },
  }
}

/** What the direction has of the momentum, and of the gradient. @param step - from 1 */
export function muonMix(
  { momentum, nesterov, preset }: MuonHyperparameters,
  step: number,
): [ofMomentum: number, ofGradient: number] {
  // Optax divides by what the weights of a mean add up to, as Adam does; with nesterov by that of the next step.
  const sumAfter = (steps: number): number => (preset === 'torch' ? 1 : 1 - power(momentum, steps))
  return nesterov ? [momentum / sumAfter(step + 1), (1 - momentum) / sumAfter(step)] : [1 / sumAfter(step), 0]
}

/** By how much a step is longer than the orthogonal matrix. */
export function muonScale({ consistentRms, preset }: MuonHyperparameters, { rows, columns }: MatrixShape): number {
  if (consistentRms !== null) return consistentRms * Math.sqrt(Math.max(rows, columns))
  return Math.sqrt(Math.max(1, preset === 'torch' ? rows / columns : columns / rows))
}

/** The axis of outputs, which comes first or last, is a side of the matrix; all others together are the other one. */
export function matrixOf(shape: readonly number[], preset: MuonPreset): MatrixShape {
  const count = (lengths: readonly number[]): number => lengths.reduce((product, length) => product * length, 1)
  return preset === 'torch'
    ? { rows: shape[0]!, columns: count(shape.slice(1)) }
    : { rows: count(shape.slice(0, -1)), columns: shape.at(-1)! }
}
