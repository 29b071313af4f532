export type { Communicator } from './communicator/communicator.ts'
export { connect } from './communicator/connect-browser.ts'
export { AdasumError, ERROR_CODES, type ErrorCode } from './errors.ts'
export { allocateArrays } from './reduction/allocate.ts'
export { adasum, adasumSync, average, averageSync, sum, sumSync, type LocalOptions } from './reduction/local.ts'
export { sampler, type Place, type Sampler, type SamplerOptions, type SamplerState } from './training/sampler.ts'
export type {
  ConnectOptions,
  FloatArray,
  HalfDtype,
  OnNonFinite,
  ReduceOp,
  ReduceOptions,
  ReducibleArray,
  Reduction,
  SegmentReduction,
} from './types.ts'
