/** Steps by gradients, one after the other or combined. */
import { dot } from './_operators.ts'
import { type Vector, adasum, meanOf, minus, scaled, squareOf } from './_vectors.ts'

/** Where steps by one loss after the other lead from zero weights: the mean over these orders of the losses. */
export function sequences(
  orders: readonly number[][],
  gradientOf: (w: Vector, loss: number) => Vector,
  { rate, length }: { rate: number; length: number },
): Vector {
  return meanOf(
    orders.map((order) => {
      let w: Vector = new Float64Array(length)
      for (const loss of order) w = minus(w, scaled(rate, gradientOf(w, loss)))
      return w
    }),
  )
}

/** Adasum of 2^k gradients, and whether no coefficient at any node is negative. */
export function balanced(gradients: readonly Vector[]): { result: Vector; isBalanced: boolean } {
  if (gradients.length === 1) return { result: gradients[0]!, isBalanced: true }
  const half = gradients.length / 2
  const [a, b] = [balanced(gradients.slice(0, half)), balanced(gradients.slice(half))]
  const most = 2 * Math.min(squareOf(a.result), squareOf(b.result))
  const isBalanced = a.isBalanced && b.isBalanced && dot(a.result, b.result) <= most
  return { result: adasum([a.result, b.result]), isBalanced }
}
