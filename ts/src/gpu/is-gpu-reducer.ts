import { GPU_REDUCER } from './brand.ts'
import type { GpuReducer } from './gpu-reducer.ts'

/** Whether it is one, of whichever copy of the package: its class is not asked. */
export function isGpuReducer(value: unknown): value is GpuReducer {
  try {
    return typeof value === 'object' && value !== null && Object.hasOwn(value, GPU_REDUCER)
  } catch {
    // A proxy that refuses to tell.
    return false
  }
}
