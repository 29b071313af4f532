/** Adam in the shape of Optax: what an optimizer of `adasum/jax` looks like. */
import { numpy as np, tree } from '@jax-js/jax'

/**
 * @typedef {import('@jax-js/jax').Array} Array
 * @typedef {import('adasum/jax').ArrayTree} ArrayTree
 * @typedef {{ steps: number, mean: ArrayTree, square: ArrayTree }} State
 */

/**
 * @param {number} rate
 * @returns {import('adasum/jax').GradientTransformation<State>}
 */
export function adam(rate, [b1, b2, epsilon] = [0.9, 0.99, 1e-8]) {
  /** @type {(f: (...leaves: Array[]) => Array, ...trees: ArrayTree[]) => ArrayTree} */
  const map = (f, first, ...rest) => /** @type {ArrayTree} */ (tree.map(f, /** @type {ArrayTree} */ (first), ...rest))
  return {
    init: (params) => ({
      steps: 0,
      mean: map((x) => np.zerosLike(x), tree.ref(params)),
      square: map((x) => np.zerosLike(x), params),
    }),
    update: (gradients, state, params) => {
      tree.dispose(params)
      const steps = state.steps + 1
      const mean = map((m, g) => m.mul(b1).add(g.mul(1 - b1)), state.mean, tree.ref(gradients))
      const square = map((v, g) => v.mul(b2).add(np.square(g).mul(1 - b2)), state.square, gradients)
      const scale = (-rate * Math.sqrt(1 - b2 ** steps)) / (1 - b1 ** steps)
      const updates = map((m, v) => m.mul(scale).div(np.sqrt(v).add(epsilon)), tree.ref(mean), tree.ref(square))
      return [updates, { steps, mean, square }]
    },
  }
}
