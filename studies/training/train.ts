/** One run of training: `n` workers, their samples, optimizers and exchange, and what came out. */
import { createHash } from 'node:crypto'
import { type Optimizer, type Schedule, adam, constant, lamb, linear, sgd } from 'adasum/optim'
import { type Cell, type LogPoint, type Result, phasesOf } from './cell.ts'
import { type Exchange, combineLocally } from './exchange.ts'
import { logPointOf } from './log.ts'
import { type Model, offsetsOf } from './model.ts'
import { SampleStream } from './random.ts'
import { sentBy } from './sent.ts'

/** Weight of the newest loss in the running mean. */
const SMOOTHING = 0.1
/** A run whose running mean is so many times its first loss has diverged. */
const FAR_ABOVE = 3
const MOMENTUM = 0.9
const LOGGED_STEPS = 40

/**
 * @param report - is told how far the run is, from 0 to 1
 */
export async function train(
  cell: Cell,
  model: Model,
  exchange: Exchange,
  report: (progress: number) => void = () => undefined,
): Promise<Result> {
  const begin = performance.now()
  const run = new Run(cell, model, exchange)
  const { steps, diverged, weights, log, losses } = await run.toItsEnd(report)
  model.load(weights)
  const found = diverged ? undefined : await model.evaluate(cell.split, cell.evaluationCount)
  const isFailed = found === undefined || !Number.isFinite(found.loss)
  const { probePieces, evaluationCount } = cell
  const probe = probePieces && { probe: isFailed ? null : await model.probe!(evaluationCount, probePieces) }
  return {
    accuracy: isFailed ? model.chance : found.accuracy,
    loss: isFailed ? null : found.loss,
    diverged: isFailed,
    steps,
    seconds: (performance.now() - begin) / 1000,
    sha256: createHash('sha256').update(new Uint8Array(weights.buffer)).digest('hex'),
    ...probe,
    ...(cell.isLogged && { log }),
    ...(cell.keepsLosses && { losses }),
  }
}

interface Outcome {
  readonly steps: number
  readonly diverged: boolean
  readonly weights: Float32Array
  readonly log: LogPoint[]
  readonly losses: number[]
}

class Run {
  readonly #cell: Cell
  readonly #model: Model
  readonly #exchange: Exchange
  readonly #sizes: number[]
  readonly #stream: SampleStream
  readonly #optimizers: Optimizer[] = []
  readonly #log: LogPoint[] = []
  readonly #losses: number[] = []
  #rate = 0

  constructor(cell: Cell, model: Model, exchange: Exchange) {
    this.#cell = cell
    this.#model = model
    this.#exchange = exchange
    const offsets = offsetsOf(model.segments)
    this.#sizes = offsets.slice(1).map((end, index) => end - offsets[index]!)
    this.#stream = new SampleStream(cell.trainingCount, cell.seed)
  }

  async toItsEnd(report: (progress: number) => void): Promise<Outcome> {
    const phases = phasesOf(this.#cell)
    const total = phases.reduce((sum, { steps }) => sum + steps, 0)
    const schedule = scheduleOf(this.#cell, total)
    const weights = await this.#model.initial(this.#cell.seed)
    const outcome = { weights, log: this.#log, losses: this.#losses }
    let [taken, first, mean] = [0, NaN, NaN]
    for (const { workers, steps } of phases)
      for (let step = 0; step < steps; step++, taken++) {
        this.#rate = schedule(taken)
        const loss = await this.#step(weights, workers, taken / total, isLoggedStep(taken, total))
        if (taken === 0) [first, mean] = [loss, loss]
        else mean += SMOOTHING * (loss - mean)
        this.#losses.push(loss)
        if (!(mean <= FAR_ABOVE * first)) return { ...outcome, steps: taken + 1, diverged: true }
        report((taken + 1) / total)
      }
    return { ...outcome, steps: taken, diverged: false }
  }

  /** @returns the mean loss before the step; NaN if there was no step, since something was not finite */
  async #step(weights: Float32Array, workers: number, progress: number, isLogged: boolean): Promise<number> {
    const { op, of, localBatch, microBatches = 1 } = this.#cell
    this.#model.load(weights)
    const samples = this.#stream.take(workers * microBatches * localBatch)
    const here = this.#exchange.workersHere(workers)
    const losses: number[] = []
    const ofWorkers: Float32Array[][] = []
    for (const worker of here) {
      const parts: Float32Array[] = []
      for (let part = 0; part < microBatches; part++) {
        const at = (worker * microBatches + part) * localBatch
        const gradient = new Float32Array(this.#model.elementCount)
        losses.push(await this.#model.gradient(samples.subarray(at, at + localBatch), gradient))
        parts.push(gradient)
      }
      ofWorkers.push(parts)
    }
    const loss = await this.#exchange.meanLoss(losses)
    if (!Number.isFinite(loss)) return NaN
    try {
      const inputs = ofWorkers.map((parts) =>
        microBatches === 1 ? parts[0]! : combineLocally(op, parts, this.#sizes).result,
      )
      const sent =
        of === 'gradients' ? inputs : inputs.map((input, index) => this.#deltaOf(weights, input, here[index]!))
      const combined = await this.#combine(sent, here, progress, isLogged)
      if (of === 'deltas') addTo(weights, combined)
      else this.#optimizer(0).stepSync(weights, combined)
    } catch (error) {
      if ((error as { code?: string }).code === 'ERR_NON_FINITE') return NaN
      throw error
    }
    return loss
  }

  async #combine(
    inputs: Float32Array[],
    here: readonly number[],
    progress: number,
    isLogged: boolean,
  ): Promise<Float32Array> {
    const sent = inputs.map((input, index) => sentBy(this.#cell, here[index]!, input, this.#sizes, progress))
    const combined = await this.#exchange.combine(this.#cell.op, sent, this.#sizes)
    if (isLogged && this.#cell.isLogged && sent.length > 1)
      this.#log.push(logPointOf(progress, sent, combined.result, this.#sizes))
    return combined.result
  }

  /** What the worker's own optimizer would add to the weights. */
  #deltaOf(weights: Float32Array, gradient: Float32Array, worker: number): Float32Array {
    const stepped = weights.slice()
    this.#optimizer(worker).stepSync(stepped, gradient)
    for (let index = 0; index < stepped.length; index++) stepped[index]! -= weights[index]!
    return stepped
  }

  /** A worker that joins late begins without state. */
  #optimizer(worker: number): Optimizer {
    return (this.#optimizers[worker] ??= this.#newOptimizer())
  }

  #newOptimizer(): Optimizer {
    const options = { segments: this.#model.segments, learningRate: () => this.#rate }
    switch (this.#cell.optimizer) {
      case 'momentum':
        return sgd({ ...options, momentum: MOMENTUM })
      case 'sgd':
        return sgd(options)
      case 'adam':
        return adam(options)
      case 'lamb':
        return lamb(options)
    }
  }
}

function addTo(weights: Float32Array, delta: Float32Array): void {
  for (let index = 0; index < weights.length; index++) weights[index]! += delta[index]!
}

function isLoggedStep(step: number, total: number): boolean {
  return step % Math.max(1, Math.floor(total / LOGGED_STEPS)) === 0
}

/** The rate of each step, for so many steps. */
export function scheduleOf({ rate, warmup, decay }: Cell, steps: number): Schedule {
  const warmupSteps = Math.round(warmup * steps)
  // After the last step the rate is 0, and in the last one a bit more.
  if (decay === 'linear') return linear({ rate, warmupSteps, steps: steps + 1 })
  const warmed = constant({ rate, warmupSteps })
  if (decay === 'none') return warmed
  const dropsBefore = (step: number): number => [0.5, 0.75].filter((share) => step >= share * steps).length
  return (step) => warmed(step) / 10 ** dropsBefore(step)
}
