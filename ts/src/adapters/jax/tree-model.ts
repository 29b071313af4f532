import type * as jax from '@jax-js/jax'
import { AdasumError } from '../../errors.ts'
import { weightText, type WeightSpec } from '../../optim/weight-layout.ts'
import type { Gradients, TrainedModel } from '../../training/trained-model.ts'
import { ArrayWeights, newArrays, readArray } from './array-weights.ts'
import type { InnerOptimizer } from './inner-optimizer.ts'
import { type ArrayTree, disposeArrays, type Leaf, leafText, Pytree } from './pytree.ts'

/**
 * Parameters and the optimizer that steps them. Between two calls of the training loop the parameters are the caller's,
 * who hands them over in each.
 */
export class TreeModel<S> extends ArrayWeights implements TrainedModel<jax.Array> {
  readonly #optimizer: InnerOptimizer<S>
  /** The structure in which the caller has the parameters. */
  #tree: Pytree<ArrayTree>
  /** Sums of gradients that may still be to be computed. */
  #sums: jax.Array[] = []

  /**
   * @param tree - stays the caller's
   * @throws AdasumError ERR_ARGUMENT if there are no parameters; ERR_UNSUPPORTED for one that is not float32
   */
  constructor(optimizer: InnerOptimizer<S>, tree: Pytree<ArrayTree>) {
    checkTrainable(tree.leaves)
    super(tree.leaves)
    this.take()
    this.#optimizer = optimizer
    this.#tree = tree
  }

  /**
   * Takes over parameters, and ends those that it still has.
   * @throws AdasumError ERR_ARGUMENT if they are not those of the first call, by path and shape; they stay the caller's
   */
  give(tree: Pytree<ArrayTree>): void {
    checkLeaves(this.weights, tree.leaves, 'params')
    this.#tree = tree
    this.replace(tree.leaves.map(({ array }) => array))
  }

  /** The parameters, the caller's from now on; undefined if it has none. */
  takeTree(): ArrayTree | undefined {
    return this.arrays.length === 0 ? undefined : this.#tree.with(this.take())
  }

  /**
   * Takes over a tree that matches the weights.
   * @returns its arrays, in the order of the weights
   * @throws AdasumError ERR_ARGUMENT if it does not match them, by path and shape; ERR_UNSUPPORTED
   */
  arraysFor(tree: ArrayTree, what: string): jax.Array[] {
    const { leaves } = new Pytree(tree, what)
    const arrays = leaves.map(({ array }) => array)
    try {
      checkLeaves(this.weights, leaves, what)
    } catch (error) {
      disposeArrays(arrays)
      throw error
    }
    return arrays
  }

  addGradient(sum: jax.Array | undefined, gradient: jax.Array): jax.Array {
    const total = sum === undefined ? gradient : sum.add(gradient)
    this.#sums.push(total)
    return total
  }

  divideGradient(sum: jax.Array, count: number): jax.Array {
    return sum.div(count)
  }

  readGradient(gradient: jax.Array, target: Float32Array): Promise<void> {
    return readArray(gradient, target)
  }

  disposeGradient(gradient: jax.Array): void {
    gradient.dispose()
  }

  step(gradients: Gradients<jax.Array>): void {
    const all = gradients as readonly jax.Array[]
    const updates = this.#optimizer.updatesFor(this.#tree.with(all), this.#tree.with(this.arrays))
    const changes = this.arraysFor(updates, 'the updates of the optimizer')
    this.replace(this.arrays.map((array, index) => array.ref.add(changes[index]!)))
  }

  stepCombined(gradients: readonly Float32Array[]): void {
    const arrays = newArrays(gradients, this.arrays)
    try {
      this.step(arrays)
    } finally {
      disposeArrays(arrays)
    }
  }

  /** Otherwise each batch would keep the memory of all that came before it, until somebody reads a number. */
  async settle(): Promise<void> {
    const pending = [...this.arrays, ...this.#sums].filter(({ refCount }) => refCount > 0).map((array) => array.ref)
    this.#sums = []
    const results = await Promise.allSettled(pending.map((array) => array.blockUntilReady()))
    disposeArrays(pending)
    for (const result of results) if (result.status === 'rejected') throw result.reason
  }
}

function checkTrainable(leaves: readonly Leaf[]): void {
  if (leaves.length === 0) throw new AdasumError('ERR_ARGUMENT', 'params has 0 arrays; it must have at least 1.')
  const other = leaves.find(({ array }) => (array.dtype as string) !== 'float32')
  if (other === undefined) return
  const leaf = `params: ${leafText(other.path)}`
  const message = `${leaf} is ${other.array.dtype}; only float32 can be trained. Keep other arrays in a tree of their own.`
  throw new AdasumError('ERR_UNSUPPORTED', message)
}

/** @throws AdasumError ERR_ARGUMENT with the first path at which leaves are not those of the weights */
function checkLeaves(weights: readonly WeightSpec[], leaves: readonly Leaf[], what: string): void {
  const texts = new Map(leaves.map(({ path, array }) => [path, weightText(array)]))
  const expected = new Map(weights.map((weight) => [weight.name, weightText(weight)]))
  for (const path of [...expected.keys(), ...texts.keys()]) {
    const [given, wanted] = [texts.get(path) ?? 'missing', expected.get(path) ?? 'missing']
    if (given === wanted) continue
    const leaf = leafText(path)
    const message = `${what}: ${leaf} is ${given}, and ${wanted} in the params of the first step. Use one DistributedOptimizer for each model.`
    throw new AdasumError('ERR_ARGUMENT', message)
  }
}
