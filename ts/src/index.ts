export type { Communicator } from './communicator/communicator.ts'
export { connect } from './communicator/connect.ts'
export type {
  AllToAllOptions,
  BroadcastOptions,
  Gathered,
  GatherOptions,
  MicroBatchOptions,
  ReceiveOptions,
  ReduceScatterOptions,
  SendOptions,
} from './communicator/options.ts'
export { Compressor, type CompressionFormat, type CompressorOptions } from './compressor.ts'
export type { ArraysByName } from './tensor/dtype.ts'
export { AdasumError, ERROR_CODES, type ErrorCode } from './errors.ts'
export { metricsText } from './observe/prometheus.ts'
export { allocateArrays } from './reduction/allocate.ts'
export {
  adasum,
  adasumSync,
  average,
  averageSync,
  sum,
  sumSync,
  type Backend,
  type LocalOptions,
} from './reduction/local.ts'
export { sampler, type Place, type Sampler, type SamplerOptions, type SamplerState } from './training/sampler.ts'
export type { CallMetrics, CallPhase, CommunicatorMetrics, FlightEntry } from './call-records.ts'
export type {
  AllReduceAlgorithm,
  AllReduceOp,
  AllReduceOptions,
  CallOptions,
  ConnectOptions,
  FloatArray,
  FoldOp,
  HalfDtype,
  IntegerArray,
  LocalReduction,
  NamedArrays,
  NumericArray,
  OnNonFinite,
  ReduceOp,
  ReduceOptions,
  ReducibleArray,
  Reduction,
  SegmentReduction,
  StallReport,
} from './types.ts'
export type { Tuning } from './tuning.ts'
