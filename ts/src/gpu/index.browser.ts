/** `adasum/gpu` for browsers; and what the local functions load of it, once a device is asked for. */
export * from './index.ts'
export { reduceOnGpu, reduceOnGpuIfPossible } from './local-backend.ts'
