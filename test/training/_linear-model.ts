/**
 * A second adapter, with no framework: weights and gradients are plain arrays, and the step is SGD written by hand. It
 * shows that an adapter has nothing of modes, local steps, accumulation or agreement.
 */
import type { Gradients, TrainedModel } from '../../ts/src/training/trained-model.ts'

export interface Samples {
  x: readonly (readonly number[])[]
  y: readonly number[]
}

/** y = kernel . x + bias, and half the sum of the squared errors as its loss. */
export class LinearModel implements TrainedModel<Float32Array> {
  readonly weights
  readonly values: readonly Float32Array[]
  readonly rate: number

  constructor(features: number, rate: number) {
    this.weights = [['kernel', [features]] as const, ['bias', []] as const].map(([name, shape]) => ({ name, shape, dtype: 'float32' })) // prettier-ignore
    this.values = [new Float32Array(features), new Float32Array(1)]
    this.rate = rate
  }

  gradientsOn({ x, y }: Samples): { gradients: Float32Array[]; loss: number } {
    const [kernel, bias] = this.values as [Float32Array, Float32Array]
    const gradients = this.values.map(({ length }) => new Float32Array(length)) as [Float32Array, Float32Array]
    let loss = 0
    for (const [index, sample] of x.entries()) {
      const error = sample.reduce((total, value, i) => total + value * kernel[i]!, bias[0]!) - y[index]!
      sample.forEach((value, i) => (gradients[0][i]! += error * value))
      gradients[1][0]! += error
      loss += error ** 2 / 2
    }
    return { gradients, loss }
  }

  readWeight(index: number, target: Float32Array): void {
    target.set(this.values[index]!)
  }

  writeWeights(values: readonly Float32Array[]): void {
    values.forEach((value, index) => this.values[index]!.set(value))
  }

  addGradient(sum: Float32Array | undefined, gradient: Float32Array): Float32Array {
    return sum === undefined ? gradient : sum.map((value, i) => value + gradient[i]!)
  }

  divideGradient(sum: Float32Array, count: number): Float32Array {
    return sum.map((value) => value / count)
  }

  readGradient(gradient: Float32Array, target: Float32Array): void {
    target.set(gradient)
  }

  disposeGradient(): void {}

  step(gradients: Gradients<Float32Array>): void {
    gradients.forEach((gradient, k) => gradient?.forEach((value, i) => (this.values[k]![i]! -= this.rate * value)))
  }

  stepCombined(gradients: readonly Float32Array[]): void {
    this.step(gradients)
  }
}

/** SGD with momentum: a step depends on those before. */
export class MomentumModel extends LinearModel {
  readonly velocities = this.values.map(({ length }) => new Float32Array(length))

  override step(gradients: Gradients<Float32Array>): void {
    const moved = this.velocities.map((velocity, k) => velocity.map((v, i) => 0.5 * v + (gradients[k]?.[i] ?? 0)))
    moved.forEach((velocity, k) => this.velocities[k]!.set(velocity))
    super.step(moved)
  }
}
