/** The upper triangle of a symmetric matrix, row by row: how Gram matrices lie in memory. */

/** Numbers in the triangle of a matrix of n rows. */
export function productCountOf(n: number): number {
  return (n * (n + 1)) / 2
}

/** The rows and columns of some indices, as a whole matrix. */
export function rowsOf(triangle: Float64Array, n: number, indices: readonly number[]): Float64Array[] {
  return indices.map((a) =>
    Float64Array.from(indices, (b) => {
      const [i, j] = a < b ? [a, b] : [b, a]
      return triangle[(i * (2 * n + 1 - i)) / 2 + (j - i)]!
    }),
  )
}

/** Writes NaN over the rows and columns of the inputs whose weight is 0. */
export function blankAbsent(triangle: Float64Array, weights: Float64Array): void {
  if (!weights.includes(0)) return
  let at = 0
  for (let i = 0; i < weights.length; i++)
    for (let j = i; j < weights.length; j++, at++) if (weights[i] === 0 || weights[j] === 0) triangle[at] = NaN
}
