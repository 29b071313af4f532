import type { Accumulator, StepGradient } from './step-gradient.ts'
import { disposeAll, type Gradients, type TrainedModel } from './trained-model.ts'

/**
 * The mean of the gradients of several batches, by their samples, or their sum.
 *
 * As long as batches have equally many samples, gradients are added, and divided at the end. From the first that differs
 * on it keeps the mean so far: it divides by ratios that are at least 1, so that nothing overflows.
 */
export class GradientMean<G> implements Accumulator<G> {
  readonly #model: TrainedModel<G>
  readonly #op: 'average' | 'sum'
  #sums: Gradients<G> = []
  #count = 0
  /** How many batches had samples, and how many these were. */
  #addedCount = 0
  #sampleCount = 0
  /** The samples of every batch so far; undefined if they differ, and `#sums` is a mean. */
  #batchSampleCount: number | undefined

  constructor(model: TrainedModel<G>, op: 'average' | 'sum') {
    this.#model = model
    this.#op = op
  }

  get count(): number {
    return this.#count
  }

  add(gradients: Gradients<G>, sampleCount: number): void {
    this.#count++
    if (sampleCount === 0) return disposeAll(this.#model, gradients)
    const before = this.#sampleCount
    this.#sampleCount += sampleCount
    if (this.#addedCount++ === 0) this.#batchSampleCount = sampleCount
    if (this.#op === 'sum' || this.#batchSampleCount === sampleCount) return this.#addAll(gradients)
    if (this.#batchSampleCount !== undefined) this.#divideSums(this.#addedCount - 1)
    this.#batchSampleCount = undefined
    this.#divideSums(this.#sampleCount / before)
    this.#addAll(this.#divided(gradients, this.#sampleCount / sampleCount))
  }

  take(): StepGradient {
    if (this.#op === 'average' && this.#batchSampleCount !== undefined) this.#divideSums(this.#addedCount)
    const [model, gradients] = [this.#model, this.#sums]
    this.#forget()
    return {
      read: async (targets) => {
        await Promise.all(
          gradients.map(async (gradient, index) => {
            if (gradient !== undefined) await model.readGradient(gradient, targets[index]!)
          }),
        )
      },
      step: () => model.step(gradients),
      dispose: () => disposeAll(model, gradients),
    }
  }

  dispose(): void {
    disposeAll(this.#model, this.#sums)
    this.#forget()
  }

  #forget(): void {
    this.#sums = []
    this.#count = this.#addedCount = this.#sampleCount = 0
    this.#batchSampleCount = undefined
  }

  #addAll(gradients: Gradients<G>): void {
    this.#sums = gradients.map((gradient, index) => {
      const sum = this.#sums[index]
      return gradient === undefined ? sum : this.#model.addGradient(sum, gradient)
    })
  }

  #divideSums(divisor: number): void {
    this.#sums = this.#divided(this.#sums, divisor)
  }

  #divided(gradients: Gradients<G>, divisor: number): Gradients<G> {
    if (divisor === 1) return gradients
    return gradients.map((gradient) =>
      gradient === undefined ? gradient : this.#model.divideGradient(gradient, divisor),
    )
  }
}
