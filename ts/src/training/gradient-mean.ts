import { disposeAll, type Gradients, type TrainedModel } from './trained-model.ts'

/** The mean of the gradients of several batches. It owns the gradients it is given, until they are taken. */
export class GradientMean<G> {
  readonly #model: TrainedModel<G>
  #sums: Gradients<G> = []
  #count = 0

  constructor(model: TrainedModel<G>) {
    this.#model = model
  }

  /** Batches since the mean was last taken. */
  get count(): number {
    return this.#count
  }

  add(gradients: Gradients<G>): void {
    this.#sums = gradients.map((gradient, index) => {
      const sum = this.#sums[index]
      return gradient === undefined ? sum : this.#model.addGradient(sum, gradient)
    })
    this.#count++
  }

  /** The mean over `count` batches, now the caller's to dispose of. */
  take(): Gradients<G> {
    const [sums, count] = [this.#sums, this.#count]
    this.#sums = []
    this.#count = 0
    return count === 1 ? sums : sums.map((sum) => (sum === undefined ? sum : this.#model.divideGradient(sum, count)))
  }

  dispose(): void {
    disposeAll(this.#model, this.#sums)
    this.#sums = []
    this.#count = 0
  }
}
