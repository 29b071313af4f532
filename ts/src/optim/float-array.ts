/** Weights, gradients and state: Float32Array for f32, Float64Array for f64. */
export type FloatArray = Float32Array | Float64Array
/** IEEE binary32 or binary64. */
export type FloatDtype = 'f32' | 'f64'

export function newFloats(dtype: FloatDtype, elementCount: number): FloatArray {
  return dtype === 'f32' ? new Float32Array(elementCount) : new Float64Array(elementCount)
}
