import * as tf from '@tensorflow/tfjs-core'

/** A gradient a variable; undefined where the loss does not depend on it. */
export type Gradients = (tf.Tensor | undefined)[]

/** The mean of the gradients of several calls. It owns the tensors it is given, until they are taken. */
export class GradientMean {
  #sums: Gradients = []
  #count = 0

  /** Calls since the mean was last taken. */
  get count(): number {
    return this.#count
  }

  add(gradients: Gradients): void {
    this.#sums = this.#count === 0 ? gradients : gradients.map((gradient, index) => addTo(this.#sums[index], gradient))
    for (const sum of this.#sums) if (sum) tf.keep(sum)
    this.#count++
  }

  /** The mean over `count` calls, now the caller's to dispose of. */
  take(): Gradients {
    const [sums, count] = [this.#sums, this.#count]
    this.#sums = []
    this.#count = 0
    return count === 1 ? sums : sums.map((sum) => sum && replaced(sum, tf.div(sum, count)))
  }

  dispose(): void {
    disposeAll(this.#sums)
    this.#sums = []
    this.#count = 0
  }
}

export function disposeAll(gradients: Gradients): void {
  for (const gradient of gradients) gradient?.dispose()
}

function addTo(sum: tf.Tensor | undefined, gradient: tf.Tensor | undefined): tf.Tensor | undefined {
  if (sum === undefined || gradient === undefined) return sum ?? gradient
  const total = replaced(sum, tf.add(sum, gradient))
  gradient.dispose()
  return total
}

function replaced(old: tf.Tensor, fresh: tf.Tensor): tf.Tensor {
  old.dispose()
  return fresh
}
