/** adasum/optim: optimizers over flat arrays, and learning rate schedules. */
export { AdasumError, type ErrorCode } from '../errors.ts'
export type { GramMatrix } from '../types.ts'
export type { FloatArray, FloatDtype } from './float-array.ts'
export { type GradientNoise, adascaleGain, adasumFactor, gradientNoise, noiseScale } from './gradient-noise.ts'
export { cosineMatrix, diversity, orthogonality, sumOfGrams } from './gram.ts'
export type { LambPreset } from './hyperparameters.ts'
export { type MuonAdamWOptions, type MuonMatrixOptions, type MuonOptions, muon } from './muon.ts'
export { MasterWeights, type MasterWeightsOptions } from './master-weights.ts'
export {
  type EstimateOptions,
  type NoiseEstimate,
  NoiseMeter,
  type NoiseMeterOptions,
  type ObservedReduction,
  type ObservedSegment,
  type SegmentNoiseEstimate,
} from './noise-meter.ts'
export type { SavedState } from './optimizer-state.ts'
export type { Optimizer, StepReport } from './optimizer.ts'
export {
  type AdamOptions,
  type LambOptions,
  type OptimizerOptions,
  type SgdOptions,
  adam,
  adamw,
  lamb,
  sgd,
} from './optimizers.ts'
export {
  type DecayOptions,
  type Schedule,
  type ScheduleOptions,
  type StableDecayOptions,
  type StepDecayOptions,
  constant,
  cosine,
  linear,
  stepDecay,
  warmupStableDecay,
} from './schedules.ts'
export type { MuonPreset } from './rules.ts'
export type { OptimizerSegment, ParameterGroup } from './segments.ts'
