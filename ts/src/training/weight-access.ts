import type { FlatWeights } from '../optim/flat-weights.ts'
import type { WeightSpec } from '../optim/weight-layout.ts'

/**
 * All that ranks need of a model's weights, or of some of them, wherever they lie: in arrays, in tensors, on a GPU.
 * The order is fixed, and the same on every rank. Weights that are trained are float32, all of them.
 */
export interface WeightAccess<A extends FlatWeights = Float32Array> {
  /** Name, shape and dtype of each weight. */
  readonly weights: readonly WeightSpec[]
  /** Copies the present values of a weight into `target`, which has as many elements. */
  readWeight(index: number, target: A): Promise<void> | void
  /**
   * Sets all weights, to an array each. It copies them, because their memory is used again, and it either
   * throws before the first weight has changed or not at all: a model is never half-written.
   */
  writeWeights(values: readonly A[]): void
  /**
   * A value for each weight that differs (by `!==`) after every assignment. Weights that have not been assigned since
   * they were written are not read again; without this method, all are.
   */
  contentIds?(): readonly unknown[]
}

/** Copies the weights into an array each, but for those whose array is current. */
export async function readWeights<A extends FlatWeights>(
  access: WeightAccess<A>,
  targets: readonly A[],
  isCurrent: (index: number) => boolean = () => false,
): Promise<void> {
  await Promise.all(
    targets.map(async (target, index) => {
      if (!isCurrent(index)) await access.readWeight(index, target)
    }),
  )
}
