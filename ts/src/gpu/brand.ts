/**
 * The property that marks a GpuReducer. In browsers the class itself is in a file that is loaded only if it is used.
 */
export const GPU_REDUCER: unique symbol = Symbol.for('adasum.GpuReducer')
