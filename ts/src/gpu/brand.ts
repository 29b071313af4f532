/** How a GpuReducer is recognised: in browsers its class is in a file that is loaded only by those who use it. */
import type { GpuReducer } from './gpu-reducer.ts'

export const GPU_REDUCER: unique symbol = Symbol.for('adasum.GpuReducer')

export function isGpuReducer(value: unknown): value is GpuReducer {
  return typeof value === 'object' && value !== null && GPU_REDUCER in value
}
