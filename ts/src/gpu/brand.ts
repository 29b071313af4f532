/** How a GpuReducer is recognised: in browsers its class is in a file that is loaded only by those who use it. */
import type { GpuReducer } from './gpu-reducer.ts'

export const GPU_REDUCER: unique symbol = Symbol.for('adasum.GpuReducer')

export function isGpuReducer(value: unknown): value is GpuReducer {
  try {
    return typeof value === 'object' && value !== null && Object.hasOwn(value, GPU_REDUCER)
  } catch {
    // A proxy that refuses to tell.
    return false
  }
}
