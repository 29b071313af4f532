/** Adds in the order of the tree of ranks itself, so that a power of two of identical numbers stays exact. */
export function pairwiseSum(values: Float64Array): number {
  if (values.length <= 1) return values[0] ?? 0
  const middle = Math.ceil(values.length / 2)
  return pairwiseSum(values.subarray(0, middle)) + pairwiseSum(values.subarray(middle))
}

/** Puts arrays one behind the other, in a new one. */
export function concatDoubles(arrays: readonly Float64Array[]): Float64Array<ArrayBuffer> {
  const whole = new Float64Array(arrays.reduce((sum, array) => sum + array.length, 0))
  let at = 0
  for (const array of arrays) {
    whole.set(array, at)
    at += array.length
  }
  return whole
}
