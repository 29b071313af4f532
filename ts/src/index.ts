export type { Communicator, LocalRanks } from './communicator/communicator.ts'
export { connect } from './communicator/connect.ts'
export type {
  AllToAllOptions,
  BroadcastOptions,
  Gathered,
  GatherOptions,
  Joined,
  MicroBatchOptions,
  ReceiveOptions,
  ReduceScatterOptions,
  SendOptions,
  Shard,
} from './communicator/options.ts'
export { Compressor, type CompressionFormat, type CompressorOptions } from './compressor.ts'
export type { ArraysByName } from './tensor/dtype.ts'
export { AdasumError, ERROR_CODES, type ErrorCode, type ErrorDetails } from './errors.ts'
export { metricsText } from './observe/prometheus.ts'
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
  type Backend,
  type LocalOptions,
  type LocalReduceOptions,
  type WideningOptions,
} from './reduction/local.ts'
export type { LossScale, LossScaleOptions, LossScaleSettings } from './training/loss-scale-options.ts'
export { LossScaler, type LossScaleState, type ScaledArrays, type ScaledReduction } from './training/loss-scaler.ts'
export { type RankInWorld, sampler, type Sampler, type SamplerOptions, type SamplerState } from './training/sampler.ts'
export type { CallMetrics, CallPhase, CommunicatorMetrics, FlightEntry } from './call-records.ts'
export type { Certificates, ConnectOptions, TlsByCertificates } from './connect-options.ts'
export type {
  AllReduceAlgorithm,
  AllReduceOp,
  AllReduceOptions,
  AwaitedRank,
  CallOptions,
  CoefficientFunction,
  FloatArray,
  GramMatrix,
  GramSegment,
  FoldOp,
  HalfDtype,
  IntegerArray,
  LocalReduction,
  NamedArrays,
  NumericArray,
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
  StallReport,
} from './types.ts'
export type { Tuning } from './tuning.ts'
