/** What the trainer asks of a model, and how often: what is freed, what is read again. */
import test from 'ava'
import { failuresOf } from '../_world.ts'
import { LinearModel, type Samples } from './_linear-model.ts'
import { equalWeights, FEATURES, fitBatch, onEach, poisoned, RATE, replicas, samplesOf, train } from './_replicas.ts'

/** Knows which gradients somebody still has to dispose of. */
class CountedModel extends LinearModel {
  readonly alive = new Set<Float32Array>()

  override gradientsOn(samples: Samples): { gradients: Float32Array[]; loss: number } {
    const made = super.gradientsOn(samples)
    for (const gradient of made.gradients) this.alive.add(gradient)
    return made
  }

  override addGradient(sum: Float32Array | undefined, gradient: Float32Array): Float32Array {
    if (sum !== undefined) this.#end(sum)
    this.#end(gradient)
    return this.#begin(super.addGradient(sum, gradient))
  }

  override divideGradient(sum: Float32Array, count: number): Float32Array {
    this.#end(sum)
    return this.#begin(super.divideGradient(sum, count))
  }

  override disposeGradient(gradient?: Float32Array): void {
    this.#end(gradient!)
  }

  #begin(gradient: Float32Array): Float32Array {
    this.alive.add(gradient)
    return gradient
  }

  #end(gradient: Float32Array): void {
    if (!this.alive.delete(gradient)) throw new Error('This gradient has been disposed of before.')
  }
}

test('each gradient is disposed of once: after a step, a failure, and by dispose', async (t) => {
  for (const mode of ['gradient', 'delta'] as const) {
    const made = await replicas(t, 2, { op: 'adasum', mode, accumulate: 3 }, () => new CountedModel(FEATURES, RATE))
    const alive = (): number[] => made.map(({ model }) => (model as CountedModel).alive.size)
    for (const batch of [0, 1]) await onEach(made, (replica) => fitBatch(replica, batch))
    t.deepEqual(alive(), [2, 2])
    await onEach(made, (replica) => fitBatch(replica, 2))
    t.deepEqual(alive(), [0, 0])
    for (const batch of [3, 4]) await onEach(made, (replica) => fitBatch(replica, batch))
    await failuresOf(made.map((replica) => train(replica, poisoned(replica.rank, 5))))
    t.deepEqual(alive(), [0, 0])
    await onEach(made, (replica) => fitBatch(replica, 6))
    for (const { trainer } of made) trainer.dispose()
    t.deepEqual(alive(), [0, 0])
  }
})

test('another model than that of the first batch is refused, and its gradients are disposed of', async (t) => {
  const [made] = await replicas(t, 1, { op: 'sum', accumulate: 2 })
  await fitBatch(made!, 0)
  const other = new CountedModel(FEATURES, RATE)
  const refused = { code: 'ERR_ARGUMENT', message: /Use one LinearTrainer for each model\./ }
  await t.throwsAsync(train({ ...made!, model: other }, samplesOf(0, 1)), refused)
  t.is(other.alive.size, 0)
  const { gradients } = other.gradientsOn(samplesOf(0, 1))
  const loss = Promise.reject(new RangeError('unheard'))
  await t.throwsAsync(made!.trainer.train(() => ({ model: other, gradients, loss })), refused) // prettier-ignore
})

test('a weight that is sometimes without a gradient: the mean counts all batches, and nothing of an old step is left', async (t) => {
  for (const mode of ['gradient', 'delta'] as const) {
    const made = await replicas(t, 2, { op: 'sum', mode, accumulate: 2 })
    const give = (kernel: number | undefined) =>
      onEach(made, ({ trainer, model }) => {
        const gradients = [kernel === undefined ? undefined : new Float32Array(FEATURES).fill(kernel), Float32Array.of(16)] // prettier-ignore
        return trainer.train(() => ({ model, gradients, loss: 0 }))
      })
    for (const kernel of [undefined, 32]) await give(kernel)
    t.deepEqual(equalWeights(t, made), [0, -3, 1, -2])
    for (const kernel of [32, undefined]) await give(kernel)
    t.deepEqual(equalWeights(t, made), [-2, -5, -1, -4])
    for (const kernel of [undefined, undefined]) await give(kernel)
    t.deepEqual(equalWeights(t, made), [-2, -5, -1, -6])
  }
})

/** Tells when a weight has been assigned, and counts what is read. */
class TrackedModel extends LinearModel {
  reads = 0
  ids = [{}, {}]

  override readWeight(index: number, target: Float32Array): void {
    this.reads++
    super.readWeight(index, target)
  }

  override writeWeights(values: readonly Float32Array[]): void {
    super.writeWeights(values)
    this.ids = [{}, {}]
  }

  override step(gradients: readonly (Float32Array | undefined)[]): void {
    super.step(gradients)
    this.ids = [{}, {}]
  }

  contentIds(): readonly unknown[] {
    return [...this.ids]
  }
}

test('a round reads the weights at its end, and at its start only those that were assigned in between', async (t) => {
  const made = await replicas(t, 2, { op: 'sum' }, () => new TrackedModel(FEATURES, RATE))
  const reads = async (batch: number): Promise<number[]> => {
    const models = made.map(({ model }) => model as TrackedModel)
    for (const model of models) model.reads = 0
    await onEach(made, (replica) => fitBatch(replica, batch))
    return models.map((model) => model.reads)
  }
  t.deepEqual(await reads(0), [4, 4])
  t.deepEqual(await reads(1), [2, 2])
  for (const { model } of made) {
    model.values[1]![0] = 5
    ;(model as TrackedModel).ids[1] = {}
  }
  t.deepEqual(await reads(2), [3, 3])
  equalWeights(t, made)
})
