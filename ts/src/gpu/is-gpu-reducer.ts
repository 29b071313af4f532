import { GPU_REDUCER } from './brand.ts'
import type { GpuReducer } from './gpu-reducer.ts'

/** Whether a value is a GpuReducer, of any copy of the package: the class is not compared. */
export function isGpuReducer(value: unknown): value is GpuReducer {
  try {
    return typeof value === 'object' && value !== null && Object.hasOwn(value, GPU_REDUCER)
  } catch {
    // A proxy may throw at any access.
    return false
  }
}
