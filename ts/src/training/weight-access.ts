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
   * For each weight something that is another one (`===`) after every assignment. What has not been assigned since it
   * was written is not read again; without this method, all weights are.
   */
  contentIds?(): readonly unknown[]
}

/** Copies the weights into an array each; those for which `isKnown` holds are left alone. */
export async function readWeights<A extends FlatWeights>(
  access: WeightAccess<A>,
  targets: readonly A[],
  isKnown: (index: number) => boolean = () => false,
): Promise<void> {
  await Promise.all(
    targets.map(async (target, index) => {
      if (!isKnown(index)) await access.readWeight(index, target)
    }),
  )
}
