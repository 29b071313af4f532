import * as jax from '@jax-js/jax'
import { AdasumError } from '../../errors.ts'
import { kindOf } from '../../tensor/check.ts'
import { type ArrayTree, arraysOf, disposeTree } from './pytree.ts'

/**
 * An optimizer in the shape of Optax, whose functions use up the arrays that they are given, as all of jax-js does.
 * `S` is its state: a tree of arrays, or anything else.
 */
export interface GradientTransformation<S = unknown> {
  /** The state before the first step. */
  init(params: ArrayTree): S
  /** What is to be added to the parameters, in a tree with the same paths, and the next state. Synchronous. */
  update(updates: ArrayTree, state: S, params: ArrayTree): readonly [ArrayTree, S]
}

/** An optimizer and its state, which this owns. */
export class InnerOptimizer<S> {
  readonly #optimizer: GradientTransformation<S>
  #state: { value: S } | undefined

  /** @throws AdasumError ERR_ARGUMENT for what has no `init` and `update` */
  constructor(optimizer: GradientTransformation<S>) {
    if (typeof optimizer?.init !== 'function' || typeof optimizer.update !== 'function') {
      const message = `the first argument must be an optimizer with init(params) and update(updates, state, params); got ${kindOf(optimizer)}.`
      throw new AdasumError('ERR_ARGUMENT', message)
    }
    this.#optimizer = optimizer
  }

  /** Undefined before the first step. */
  get state(): S | undefined {
    return this.#state?.value
  }

  /** Takes over the arrays of a state, and ends those of the present one. */
  set state(value: S | undefined) {
    this.#replace(value === undefined ? undefined : { value })
  }

  /**
   * One step of the optimizer. If it fails, the state is the one before.
   * @returns what is to be added to the parameters: the caller's to use up
   * @throws AdasumError ERR_ARGUMENT if the optimizer returns no updates and state; whatever it throws
   */
  updatesFor(gradients: ArrayTree, params: ArrayTree): ArrayTree {
    this.#state ??= { value: lend([params] as const, ([lent]) => this.#optimizer.init(lent)) }
    const given = [gradients, this.#state.value, params] as const
    const result = lend(given, ([updates, state, lent]) => this.#optimizer.update(updates, state, lent))
    const [updates, state] = checkedPair(result)
    this.#replace({ value: state })
    return updates
  }

  #replace(state: { value: S } | undefined): void {
    disposeTree(this.#state?.value)
    this.#state = state
  }
}

function checkedPair<S>(result: readonly [ArrayTree, S]): readonly [ArrayTree, S] {
  if (Array.isArray(result) && result.length === 2) return result
  disposeTree(result)
  const message = `update() of the optimizer must return [updates, state]; got ${kindOf(result)}. It cannot be asynchronous.`
  throw new AdasumError('ERR_ARGUMENT', message)
}

/**
 * Calls a function with further references to the arrays of trees, which it is to use up. Those that it neither has
 * used up nor returns are ended here, because an optimizer may forget an argument that it does not look at, and so are
 * all that are left when it throws.
 */
function lend<T extends readonly unknown[], R>(trees: T, call: (trees: T) => R): R {
  const counts = new Map(arraysOf(trees).map((array) => [array, array.refCount]))
  let returned: readonly jax.Array[] = []
  try {
    const result = call(trees.map((tree) => jax.tree.ref(tree as ArrayTree)) as unknown as T)
    returned = arraysOf(result)
    return result
  } finally {
    for (const [array, count] of counts) {
      const wanted = count + returned.filter((other) => other === array).length
      while (array.refCount > wanted) array.dispose()
    }
  }
}
