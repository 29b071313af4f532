/** How a GpuReducer is recognised: in browsers its class is in a file that is loaded only by those who use it. */
export const GPU_REDUCER: unique symbol = Symbol.for('adasum.GpuReducer')
