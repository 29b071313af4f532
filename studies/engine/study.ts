/** What a study is: a program that asks for runs, and what it says of them. */
import type { Cell, Result } from '../training/cell.ts'
import { chooseRate } from './grid.ts'
import { summarize } from './statistics.ts'

export interface Context {
  /** Whether everything is small: for a look at whether it runs. */
  readonly quick: boolean
  /** Results in the order of the cells. What has been run before is not run again; a replay has `MISSING` for what has not. */
  run(cells: readonly Cell[]): Promise<Result[]>
}

/** One line of a study's result: what was set, and what came of it with several seeds. */
export interface Setting {
  readonly part: string
  readonly model: string
  readonly optimizer: string
  readonly op: string
  readonly of: string
  readonly workers: number | readonly number[]
  readonly rate: number
  readonly seeds: readonly number[]
  /** One a seed, in their order; what it measures is `measure`. */
  readonly values: readonly number[]
  readonly measure: string
  readonly mean: number
  readonly interval: readonly [number, number] | null
  /** How many of the seeds diverged. */
  readonly diverged: number
  /** Whether the rate was the best of its grid and had worse ones on both sides; null where none was chosen. */
  readonly bestInsideGrid: boolean | null
  /** How many of the seeds have not been run: only in a replay of a study that has not ended. */
  readonly missing?: number
}

/** Something that follows from several settings. */
export interface Finding {
  readonly name: string
  readonly mean: number | string
  readonly interval?: readonly [number, number] | null
}

export interface Outcome {
  readonly settings: readonly Setting[]
  readonly findings: readonly Finding[]
}

/** A setting that was trained again, each worker in a process of its own. */
export interface Comparison {
  readonly workers: number | readonly number[]
  readonly op: string
  readonly of: string
  /** Whether the weights have the same bits. */
  readonly equal: boolean
}

/** Several outcomes as one. */
export const together = (parts: readonly Outcome[]): Outcome => ({
  settings: parts.flatMap(({ settings }) => settings),
  findings: parts.flatMap(({ findings }) => findings),
})

/** What combines what, such as "adasum of deltas". */
export const curveOf = ({ op, of }: { op: string; of: string }): string => `${op} of ${of}`

export interface Study {
  readonly name: string
  /** One sentence. */
  readonly question: string
  readonly models: readonly Cell['model'][]
  run(context: Context): Promise<Outcome>
  /** A cell that processes of their own must come to, too. */
  processCell(quick: boolean): Cell
}

/** In a replay the result of a run that has not been made: numbers that follow from it are NaN. */
export const MISSING: Result = Object.freeze({
  ...{ accuracy: NaN, loss: NaN, diverged: false, steps: NaN, seconds: NaN, sha256: '' },
})

const isMissing = (result: Result): boolean => result === MISSING

/** Seeds of runs on which rates are chosen; those of final runs are others. */
export const CHOICE_SEED = 1

/** The rate with the best value on held-out samples; NaN if one of them is missing. */
export async function choose(
  context: Context,
  cell: Omit<Cell, 'rate' | 'seed' | 'split'>,
  base: number,
  exponents: readonly number[],
  score: Score = byAccuracy,
): Promise<{ rate: number; insideGrid: boolean }> {
  return chooseRate(base, exponents, async (rates) => {
    const cells = rates.map((rate): Cell => ({ ...cell, rate, seed: CHOICE_SEED, split: 'validation' }))
    const results = await context.run(cells)
    if (results.some(isMissing)) return undefined
    return results.map((result) => (result.diverged ? -Infinity : score.sign * score.of(result)))
  })
}

/** What of a result is judged. */
export interface Score {
  readonly measure: string
  /** -1 where less is better. */
  readonly sign: 1 | -1
  readonly of: (result: Result) => number
}

export const byAccuracy: Score = { measure: 'accuracy', sign: 1, of: ({ accuracy }) => accuracy }

/** The loss; of a run that diverged that of guessing, whose accuracy it has. */
export const byLoss: Score = { measure: 'loss', sign: -1, of: ({ loss, accuracy }) => loss ?? -Math.log(accuracy) }

/** The final runs of a setting: with several seeds, on the test set. */
export function runSeeds(
  context: Context,
  cell: Omit<Cell, 'seed' | 'split'>,
  seeds: readonly number[],
): Promise<Result[]> {
  return context.run(seeds.map((seed): Cell => ({ ...cell, seed, split: 'test' })))
}

/** A setting from its final runs. */
export async function finals(
  context: Context,
  cell: Omit<Cell, 'seed' | 'split'>,
  seeds: readonly number[],
  about: { part: string; bestInsideGrid: boolean | null; score?: Score },
): Promise<Setting> {
  const results = await runSeeds(context, cell, seeds)
  const { measure, of } = about.score ?? byAccuracy
  return settingOf(cell, seeds, results, { ...about, measure, values: results.map(of) })
}

/** A setting from its results. */
export function settingOf(
  { model, optimizer, op, of, workers, rate }: Omit<Cell, 'seed' | 'split'>,
  seeds: readonly number[],
  results: readonly Result[],
  {
    part,
    bestInsideGrid,
    measure,
    values,
  }: { part: string; bestInsideGrid: boolean | null; measure: string; values: readonly number[] },
): Setting {
  const missing = results.filter(isMissing).length
  return {
    ...{ part, model, optimizer, op, of, workers, rate, seeds, values, measure },
    ...summarize(values),
    diverged: results.filter(({ diverged }) => diverged).length,
    bestInsideGrid,
    ...(missing > 0 && { missing }),
  }
}
