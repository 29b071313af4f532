/** How far one combined step is from the sequence of steps that it stands for, while one worker trains. */
import { createHash } from 'node:crypto'
import type { Cell, EmulationPoint, Result, StudyOp } from './cell.ts'
import { combineLocally } from './exchange.ts'
import { type Model, offsetsOf } from './model.ts'
import { SampleStream } from './random.ts'
import { scheduleOf } from './train.ts'

const OPS: readonly StudyOp[] = ['sum', 'average', 'adasum', 'damped', 'adascale']
const PLACES = 12

/**
 * Trains by SGD without momentum, with `cell.workers` as the numbers of workers that are compared. At some places along
 * the way it takes the next n batches in two ways: one step after the other, and all from the same weights.
 */
export async function emulate(cell: Cell, model: Model, report: (progress: number) => void): Promise<Result> {
  const begin = performance.now()
  const counts = typeof cell.workers === 'number' ? [cell.workers] : cell.workers
  const steps = Math.floor(cell.samples / cell.localBatch)
  const schedule = scheduleOf(cell, steps)
  const stream = new SampleStream(cell.trainingCount, cell.seed)
  const emulation: EmulationPoint[] = []
  const weights = await model.initial(cell.seed)
  const gradient = new Float32Array(model.elementCount)
  let [first, loss] = [NaN, NaN]
  for (let step = 0; step < steps; step++) {
    const rate = schedule(step)
    if (step % Math.ceil(steps / PLACES) === 0 && rate > 0)
      for (const workers of counts)
        emulation.push({
          progress: step / steps,
          workers,
          distance: await distances(model, weights, rate, take(workers)),
        })
    loss = await stepped(model, weights, rate, stream.take(cell.localBatch), gradient)
    if (step === 0) first = loss
    // Single batches jump more than the running mean of a training run.
    if (!(loss <= 10 * first)) break
    report((step + 1) / steps)
  }
  model.load(weights)
  const found = await model.evaluate(cell.split, cell.evaluationCount)
  return {
    accuracy: found.accuracy,
    loss: Number.isFinite(found.loss) ? found.loss : null,
    diverged: !Number.isFinite(found.loss) || !(loss <= 10 * first),
    steps,
    seconds: (performance.now() - begin) / 1000,
    sha256: createHash('sha256').update(new Uint8Array(weights.buffer)).digest('hex'),
    emulation,
  }

  function take(workers: number): Uint32Array[] {
    return Array.from({ length: workers }, () => stream.take(cell.localBatch))
  }
}

/** One step of SGD, in place; the loss before it. */
async function stepped(
  model: Model,
  weights: Float32Array,
  rate: number,
  samples: Uint32Array,
  gradient: Float32Array,
): Promise<number> {
  model.load(weights)
  const loss = await model.gradient(samples, gradient)
  for (let index = 0; index < weights.length; index++) weights[index]! -= rate * gradient[index]!
  return loss
}

/** By operator: |combined - sequence| / |sequence|. */
async function distances(
  model: Model,
  start: Float32Array,
  rate: number,
  batches: readonly Uint32Array[],
): Promise<Record<string, number>> {
  const end = start.slice()
  const scratch = new Float32Array(model.elementCount)
  for (const samples of batches) await stepped(model, end, rate, samples, scratch)
  const gradients: Float32Array[] = []
  model.load(start)
  for (const samples of batches) {
    const gradient = new Float32Array(model.elementCount)
    await model.gradient(samples, gradient)
    gradients.push(gradient)
  }
  const offsets = offsetsOf(model.segments)
  const sizes = offsets.slice(1).map((offset, index) => offset - offsets[index]!)
  const lengthOf = (valueAt: (index: number) => number): number => Math.hypot(...chunkNorms(start.length, valueAt))
  const length = lengthOf((index) => end[index]! - start[index]!)
  return Object.fromEntries(
    OPS.map((op) => {
      const { result } = combineLocally(op, gradients, sizes)
      return [op, lengthOf((index) => -rate * result[index]! - (end[index]! - start[index]!)) / length]
    }),
  )
}

/** Norms of stretches, since a call takes no more than some ten thousand arguments. */
function chunkNorms(count: number, valueAt: (index: number) => number): number[] {
  const norms: number[] = []
  for (let begin = 0; begin < count; begin += 4096) {
    let square = 0
    for (let index = begin; index < Math.min(count, begin + 4096); index++) square += valueAt(index) ** 2
    norms.push(Math.sqrt(square))
  }
  return norms
}
