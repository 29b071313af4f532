import { viewsOf, weightLayout, type WeightLayout } from '../optim/weight-layout.ts'
import { adasum } from '../reduction/local.ts'
import type { Accumulator, StepGradient } from './step-gradient.ts'
import { disposeAll, type Gradients, type TrainedModel } from './trained-model.ts'

/**
 * Adasum of the gradients of several batches, a segment a weight. It keeps a copy of each batch's gradients, and their memory
 * for the batches of the next step. A weight without a gradient counts as one whose gradient is zero.
 *
 * What is not finite is computed with: the exchange between ranks finds it, on all of them together.
 */
export class AdasumAccumulator<G> implements Accumulator<G> {
  readonly #model: TrainedModel<G>
  readonly #layout: WeightLayout
  readonly #buffers: Float32Array[] = []
  #result: Float32Array | undefined
  #sampleCounts: number[] = []
  #count = 0

  constructor(model: TrainedModel<G>) {
    this.#model = model
    this.#layout = weightLayout(model.weights)
  }

  get count(): number {
    return this.#count
  }

  async add(gradients: Gradients<G>, sampleCount: number): Promise<void> {
    this.#count++
    if (sampleCount === 0) return disposeAll(this.#model, gradients)
    // A framework may free gradients that nobody has taken over.
    const taken = gradients.map((gradient) => gradient && this.#model.addGradient(undefined, gradient))
    const buffer = (this.#buffers[this.#sampleCounts.length] ??= new Float32Array(this.#layout.elementCount))
    const views = viewsOf(this.#layout, buffer.fill(0))
    try {
      await Promise.all(
        taken.map(async (gradient, index) => {
          if (gradient !== undefined) await this.#model.readGradient(gradient, views[index]!)
        }),
      )
    } finally {
      disposeAll(this.#model, taken)
    }
    this.#sampleCounts.push(sampleCount)
  }

  async take(): Promise<StepGradient> {
    const weights = this.#sampleCounts
    const inputs = this.#buffers.slice(0, weights.length)
    this.dispose()
    const result = inputs.length > 1 ? await this.#combine(inputs, weights) : inputs[0]
    const views = result ? viewsOf(this.#layout, result) : []
    return {
      read: async (targets) => views.forEach((view, index) => targets[index]!.set(view)),
      step: () => this.#model.stepCombined(views),
      dispose: () => undefined,
    }
  }

  dispose(): void {
    this.#sampleCounts = []
    this.#count = 0
  }

  async #combine(inputs: readonly Float32Array[], weights: readonly number[]): Promise<Float32Array> {
    const segments = this.#layout.weights.map(({ elementCount }) => elementCount)
    const out = (this.#result ??= new Float32Array(this.#layout.elementCount))
    const { result } = await adasum(inputs, { segments, weights, out, onNonFinite: 'propagate' })
    return result
  }
}
