export { GpuDevice, adapters, type GpuDeviceOptions } from './device.ts'
export type { GpuAdapter, ReductionRecord } from './gpu-binding.ts'
export { GpuReducer, type GpuArray, type GpuReduceOptions, type GpuReducerOptions } from './gpu-reducer.ts'
