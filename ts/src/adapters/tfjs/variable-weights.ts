import * as tf from '@tensorflow/tfjs-core'
import type { FlatWeights } from '../../optim/flat-weights.ts'
import type { WeightSpec } from '../../optim/weight-layout.ts'
import type { WeightAccess } from '../../training/weight-access.ts'
import type { VariableDtype } from './variables.ts'

/**
 * Variables as weights. Reads copy (the cpu backend hands out its own memory), writes go through fresh tensors that
 * exist before the first variable changes.
 */
export class VariableWeights implements WeightAccess<FlatWeights> {
  readonly variables: readonly tf.Variable[]
  readonly weights: readonly WeightSpec[]

  constructor(variables: readonly tf.Variable[]) {
    this.variables = variables
    this.weights = variables.map(({ name, shape, dtype }) => ({ name, shape, dtype }))
  }

  readWeight(index: number, target: FlatWeights): Promise<void> {
    return readTensor(this.variables[index]!, target)
  }

  writeWeights(values: readonly FlatWeights[]): void {
    tf.tidy(() => {
      const fresh = this.tensorsOf(values)
      fresh.forEach((tensor, index) => this.variables[index]!.assign(tensor))
    })
  }

  contentIds(): tf.DataId[] {
    return this.variables.map(({ dataId }) => dataId)
  }

  /** A tensor a variable. Each has memory of its own: the cpu backend keeps the array it is given. */
  protected tensorsOf(values: readonly FlatWeights[]): tf.Tensor[] {
    return this.weights.map(({ shape, dtype }, index) =>
      tf.tensor(values[index]!.slice(), [...shape], dtype as VariableDtype),
    )
  }
}

export async function readTensor(tensor: tf.Tensor, target: FlatWeights): Promise<void> {
  target.set(await tensor.data())
}
