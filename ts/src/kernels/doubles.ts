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
