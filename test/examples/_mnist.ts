/** The example's modules, which are plain JavaScript, with the types that its JSDoc gives them, and made-up results. */
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT: string = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
export const EXAMPLE: string = join(ROOT, 'examples', 'mnist')

/** Imports a module of the example; the caller says what is in it. */
export async function load<M>(name: string): Promise<M> {
  return (await import(join(EXAMPLE, name))) as M
}

export interface Examples {
  images: Uint8Array
  labels: Uint8Array
  count: number
}

/** data.mjs */
export interface Data {
  PIXELS: number
  CLASSES: number
  locateMnist: () => string
  readExamples: (folder: string, split: 'train' | 'test', range: { begin: number; end: number }) => Promise<Examples>
  pixelsOf: (examples: Examples, indices: Uint32Array) => Float32Array
  labelsOf: (examples: Examples, indices: Uint32Array) => Int32Array
  shuffledIndices: (count: number, seed: number) => Uint32Array
}

export interface Plan {
  part: 'rates' | 'epoch'
  op: string
  learningRate: number
  steps: number
}

export interface Done {
  steps: number
  diverged: boolean
  loss: number
  seconds: number
  communicationSeconds: number
  bytesSent: number
  orthogonality: number[][]
  accuracy: number
  sha256: string
}

export interface Run extends Plan {
  ranks: number
  workers: number
  done: (Done | undefined)[]
  curve: { step: number; seconds: number; accuracy: number }[]
}

export interface Summary {
  part: 'rates' | 'epoch'
  op: string
  ranks: number
  learningRate: number
  images: number
  steps: number
  accuracy: number
  seconds: number
  bytesSent: number
  orthogonality: number | null
  communicationShare: number
  weightsEqual: boolean
  diverged: boolean
}

export interface Results {
  rates: Summary[]
  alone: Summary
  ranks: Summary
}

export interface Runs {
  rates: Run[]
  alone: Run
  ranks: Run
}

export interface Records {
  createRun: (plan: Plan, ranks: number) => Run
  record: (run: Run, rank: number, message: object) => void
  isDone: (run: Run) => boolean
  summarize: (run: Run) => Summary
  summarizeAll: (runs: Runs) => Results
}

export interface Config {
  OWN_RATE: number
  RATES: number[]
  OPS: string[]
  BATCH_SIZE: number
  FEWEST_STEPS_TO_COMPARE: number
  QUICK_EXAMPLES: number
  TRAIN_IMAGES: number
  rateSteps: (examples: number, ranks: number) => number
  epochSteps: (examples: number, ranks: number) => number
  ratePlans: (examples: number, ranks: number) => Plan[]
  epochPlan: (examples: number, ranks: number) => Plan
  alonePlan: (images: number) => Plan
}

const RANKS = 4

const { createRun, record, summarizeAll } = await load<Records>('records.mjs')
const { RATES, OPS, ratePlans, epochPlan, alonePlan } = await load<Config>('config.mjs')

/** A finished run as the ranks would have reported it. */
export function finishedRun(plan: Plan, change: Partial<Done> = {}): Run {
  const { op, steps } = plan
  const ranks = op === 'none' ? 1 : RANKS
  const run = createRun(plan, ranks)
  if (plan.part === 'epoch')
    for (const step of [1, Math.ceil(steps / 2), steps])
      record(run, 0, { type: 'point', step, seconds: step / 10, accuracy: 0.9 + step / 100_000 })
  const orthogonality = Array.from({ length: op === 'adasum' ? steps : 0 }, (_, i) =>
    new Array<number>(10).fill(0.25 + i / (2 * steps)),
  )
  for (let rank = 0; rank < ranks; rank++) {
    const outcome = {
      steps,
      diverged: false,
      loss: 0.1,
      seconds: 10 + rank,
      communicationSeconds: ranks > 1 ? 2 : 0,
      bytesSent: ranks > 1 ? 1e6 : 0,
      orthogonality,
      accuracy: 0.97,
      sha256: 'ab'.repeat(32),
      ...change,
    }
    record(run, rank, { type: 'progress', ...outcome, step: outcome.steps })
    record(run, rank, { type: 'done', ...outcome })
  }
  return run
}

/** By operator, an outcome for each of the five rates: an accuracy, or all that differs from a good run. */
export type Outcomes = Record<'average' | 'sum' | 'adasum', (number | Partial<Done>)[]>

export interface EpochOutcomes {
  alone?: Partial<Done>
  ranks?: Partial<Done>
}

/** All seventeen runs, with these outcomes. */
export function finishedRuns(outcomes: Outcomes, epoch: EpochOutcomes = {}, examples = 60_000): Runs {
  const changeOf = ({ op, learningRate }: Plan): Partial<Done> => {
    const outcome = outcomes[op as keyof Outcomes][RATES.indexOf(learningRate)]!
    return typeof outcome === 'number' ? { accuracy: outcome } : outcome
  }
  const ofRanks = epochPlan(examples, RANKS)
  const images = ofRanks.steps * 16 * 16
  return {
    rates: ratePlans(examples, RANKS).map((plan) => finishedRun(plan, changeOf(plan))),
    alone: finishedRun(alonePlan(images), { seconds: 50, accuracy: 0.98, ...epoch.alone }),
    ranks: finishedRun(ofRanks, { seconds: 25, accuracy: 0.97, ...epoch.ranks }),
  }
}

/** The same, summed up. */
export function results(outcomes: Outcomes, epoch: EpochOutcomes = {}, examples = 60_000): Results {
  return summarizeAll(finishedRuns(outcomes, epoch, examples))
}

/** Every operator with the same outcome at every rate. */
export function everywhere(outcome: number | Partial<Done>): Outcomes {
  return Object.fromEntries(OPS.map((op) => [op, RATES.map(() => outcome)])) as Outcomes
}
