export type { Communicator } from './communicator/communicator.ts'
export { connect } from './communicator/connect-browser.ts'
export { AdasumError, ERROR_CODES, type ErrorCode, type ErrorDetails } from './errors.ts'
export { allocateArrays, type ReducibleArrayConstructor } from './reduction/allocate.ts'
export {
  adasum,
  adasumSync,
  average,
  averageSync,
  reduce,
  reduceSync,
  sum,
  sumSync,
  type LocalOptions,
  type LocalReduceOptions,
} from './reduction/local.ts'
export type { LossScale, LossScaleOptions, LossScaleSettings } from './training/loss-scale-options.ts'
export { LossScaler, type LossScaleState, type ScaledArrays, type ScaledReduction } from './training/loss-scaler.ts'
export { type RankInWorld, sampler, type Sampler, type SamplerOptions, type SamplerState } from './training/sampler.ts'
export type { ConnectOptions } from './connect-options.ts'
export type {
  CoefficientFunction,
  FloatArray,
  GramMatrix,
  GramSegment,
  HalfDtype,
  OnNonFinite,
  AdaconsOperator,
  AdascaleOperator,
  CustomOperator,
  DampedOperator,
  GafOperator,
  Operator,
  ReduceOp,
  ReduceOptions,
  ReducibleArray,
  Reduction,
  SegmentReduction,
} from './types.ts'
