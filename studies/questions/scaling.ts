/** What several studies do: tune one worker, tune each operator for more workers, and compare with fresh seeds. */
import type { Cell, StudyOp } from '../training/cell.ts'
import { range } from '../engine/grid.ts'
import { slopeOf, summarizePairs } from '../engine/statistics.ts'
import {
  type Context,
  type Finding,
  type Outcome,
  type Score,
  type Setting,
  byAccuracy,
  choose,
  finals,
  curveOf,
  together,
} from '../engine/study.ts'

export interface Curve {
  readonly op: StudyOp
  readonly of: Cell['of']
}

/** What all cells of a comparison have in common. */
export type Task = Pick<
  Cell,
  'model' | 'data' | 'optimizer' | 'localBatch' | 'samples' | 'trainingCount' | 'evaluationCount'
>

export interface Scale {
  readonly task: Task
  /** How many samples of the test set are read, once for each final run. */
  readonly testCount: number
  /** Numbers of workers beside one. */
  readonly worldSizes: readonly number[]
  readonly seeds: readonly number[]
  /** The rate of exponent 0 of one worker's grid, and the exponents. */
  readonly base: number
  readonly oneWorker: readonly number[]
  readonly score?: Score
  /** Pieces that a linear probe on the models of final runs sees at once; default none. */
  readonly probePieces?: number
  /** Exponents over one worker's rate; default `exponentsOf`. */
  readonly exponents?: (curve: Curve, workers: number) => number[]
}

export const AVERAGE: Curve = { op: 'average', of: 'gradients' }
export const DELTAS: Curve = { op: 'adasum', of: 'deltas' }
export const GRADIENTS: Curve = { op: 'adasum', of: 'gradients' }

/** A cell of a task, but for rate, seed and split. */
export function cellOf(task: Task, curve: Curve, workers: Cell['workers']): Omit<Cell, 'rate' | 'seed' | 'split'> {
  return { task: 'train', ...task, ...curve, workers, warmup: 0.05, decay: 'linear' }
}

/** The cell of a final run: one of Adasum keeps the lengths of its steps. */
export function finalCellOf(
  { task, testCount, probePieces }: Scale,
  curve: Curve,
  workers: number,
): Omit<Cell, 'rate' | 'seed' | 'split'> {
  const isLogged = curve.op === 'adasum' && workers > 1
  return {
    ...cellOf(task, curve, workers),
    ...{ evaluationCount: testCount, ...(isLogged && { isLogged }), ...(probePieces && { probePieces }) },
  }
}

/** The best rate of one worker. */
export function tuneOne(context: Context, { task, base, oneWorker, score }: Scale): ReturnType<typeof choose> {
  return choose(context, cellOf(task, AVERAGE, 1), base, oneWorker, score)
}

/** Operators whose step does not grow with the workers. */
const AVERAGES: readonly StudyOp[] = ['average', 'adacons', 'gaf']

/** Exponents over one worker's rate: those of an average reach to n times it, and those of the others stay around it. */
export function exponentsOf(curve: Curve, workers: number): number[] {
  return AVERAGES.includes(curve.op) ? range(-1, Math.ceil(Math.log2(workers)) + 1) : range(-2, 2)
}

/** A curve at one number of workers: at its best rate, and at one worker's. */
export interface Tuned {
  readonly curve: Curve
  readonly workers: number
  readonly rate: number
  readonly best: Setting
  readonly untuned: Setting
}

export async function tune(
  context: Context,
  scale: Scale,
  curve: Curve,
  workers: number,
  oneRate: number,
): Promise<Tuned> {
  const cell = cellOf(scale.task, curve, workers)
  const exponents = (scale.exponents ?? exponentsOf)(curve, workers)
  const { rate, insideGrid } = await choose(context, cell, oneRate, exponents, scale.score)
  const final = finalCellOf(scale, curve, workers)
  const finalsAt = (at: number, part: string, bestInsideGrid: boolean | null): Promise<Setting> =>
    finals(context, { ...final, rate: at }, scale.seeds, { part, bestInsideGrid, score: scale.score ?? byAccuracy })
  const [best, untuned] = await Promise.all([
    finalsAt(rate, 'best rate', insideGrid),
    finalsAt(oneRate, "one worker's rate", null),
  ])
  return { curve, workers, rate, best, untuned }
}

/** One worker at its best rate, with fresh seeds. */
export async function finalOne(
  context: Context,
  scale: Scale,
  { rate, insideGrid }: { rate: number; insideGrid: boolean },
): Promise<Setting> {
  const cell = { ...finalCellOf(scale, AVERAGE, 1), rate }
  const about = { part: 'best rate', bestInsideGrid: insideGrid, score: scale.score ?? byAccuracy }
  return finals(context, cell, scale.seeds, about)
}

/** How much better the best rate is than one worker's, paired by seed. */
export function regretOf({ curve, workers, best, untuned }: Tuned, { sign } = byAccuracy): Finding {
  const name = `${best.model} ${best.optimizer}, ${curveOf(curve)}, ${workers} workers: regret at one worker's rate`
  return {
    name,
    ...(sign === 1 ? summarizePairs(best.values, untuned.values) : summarizePairs(untuned.values, best.values)),
  }
}

/** Shares of the steps that are tried. */
const SHORTER = [0.85, 0.7, 0.55]

/** In which share of the steps curves still reach a goal, at the best rates that they have in all of them. */
export async function shorterSchedules(
  context: Context,
  scale: Scale,
  tuned: readonly Tuned[],
  { goal, nameOf }: { goal: number; nameOf: (curve: Curve) => string },
): Promise<Outcome> {
  const score = scale.score ?? byAccuracy
  const parts = await Promise.all(
    tuned.map(async ({ curve, workers, rate, best }) => {
      const settings = await Promise.all(
        SHORTER.map((share) => {
          const task = { ...scale.task, samples: Math.round(share * scale.task.samples) }
          const cell = { ...cellOf(task, curve, workers), evaluationCount: scale.testCount, rate }
          return finals(context, cell, scale.seeds, { part: `${share} of the steps`, bestInsideGrid: null, score })
        }),
      )
      const isReached = ({ mean }: Setting): boolean => score.sign * mean >= score.sign * goal
      const reached = [1, ...SHORTER].filter((_, index) => isReached([best, ...settings][index]!))
      const finding = { name: nameOf(curve), mean: reached.length === 0 ? ('none' as const) : Math.min(...reached) }
      return { settings, findings: [finding] }
    }),
  )
  return together(parts)
}

/** Doublings of the best rate for each doubling of the workers. */
export function slopeFinding(curve: Curve, tuned: readonly Tuned[], oneRate: number): Finding {
  const points = tuned
    .filter((each) => each.curve === curve)
    .map(({ workers, rate }): [number, number] => [Math.log2(workers), Math.log2(rate)])
  const { model, optimizer } = tuned[0]!.best
  return {
    name: `${model} ${optimizer}, ${curveOf(curve)}: slope of the best rate`,
    mean: slopeOf([[0, Math.log2(oneRate)], ...points]),
  }
}
