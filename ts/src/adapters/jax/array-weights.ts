import * as jax from '@jax-js/jax'
import type { FlatWeights } from '../../optim/flat-weights.ts'
import type { WeightSpec } from '../../optim/weight-layout.ts'
import type { WeightAccess } from '../../training/weight-access.ts'
import { disposeArrays, type Leaf } from './pytree.ts'

/** Arrays as weights. It owns a reference to each of them. */
export class ArrayWeights implements WeightAccess<FlatWeights> {
  readonly weights: readonly WeightSpec[]
  #arrays: readonly jax.Array[]

  constructor(leaves: readonly Leaf[]) {
    this.weights = leaves.map(({ path, array }) => ({ name: path, path, shape: array.shape, dtype: array.dtype }))
    this.#arrays = leaves.map(({ array }) => array)
  }

  get arrays(): readonly jax.Array[] {
    return this.#arrays
  }

  readWeight(index: number, target: FlatWeights): Promise<void> {
    return readArray(this.#arrays[index]!, target)
  }

  writeWeights(values: readonly FlatWeights[]): void {
    this.replace(newArrays(values, this.#arrays))
  }

  /** An array never changes, so it stands for its content. */
  contentIds(): readonly unknown[] {
    return this.#arrays
  }

  /** Takes over references to other arrays, and ends those to the present ones. */
  replace(arrays: readonly jax.Array[]): void {
    disposeArrays(this.#arrays)
    this.#arrays = arrays
  }

  /** The references are the caller's from now on. */
  take(): readonly jax.Array[] {
    const arrays = this.#arrays
    this.#arrays = []
    return arrays
  }
}

/** Copies the values of an array, which stays the caller's, into `target`. What is still to be computed is computed. */
export async function readArray(array: jax.Array, target: FlatWeights): Promise<void> {
  const reference = array.ref
  let values: unknown
  try {
    values = await reference.data()
  } catch (error) {
    // What throws does so before it has used the reference up.
    reference.dispose()
    throw error
  }
  target.set(values as Float32Array)
}

/** Copies values into new arrays, each of the shape and dtype, and on the device, of one that there is. All or none. */
export function newArrays(values: readonly FlatWeights[], like: readonly jax.Array[]): jax.Array[] {
  const made: jax.Array[] = []
  try {
    like.forEach((array, index) => made.push(newArray(values[index]!, array)))
  } catch (error) {
    disposeArrays(made)
    throw error
  }
  return made
}

function newArray(values: FlatWeights, { shape, dtype, device }: jax.Array): jax.Array {
  // An array for which a device was chosen cannot be combined with those of another one.
  const place = device === jax.defaultDevice() ? {} : { device }
  if (values.length === 0) return jax.numpy.zeros(shape, { dtype, ...place })
  // jax-js keeps bool in 32 bits.
  const data = (dtype === jax.DType.Bool ? Int32Array.from(values) : values) as Float32Array<ArrayBuffer>
  return jax.numpy.array(data, { shape, dtype, ...place })
}
