/** What happens if the number of workers changes and the learning rate does not? */
import { type Cell, type Result, phasesOf } from '../training/cell.ts'
import { range } from '../engine/grid.ts'
import { meanOf, summarize, summarizePairs } from '../engine/statistics.ts'
import {
  type Context,
  type Outcome,
  type Setting,
  type Study,
  choose,
  finals,
  runSeeds,
  curveOf,
} from '../engine/study.ts'
import { processCellOf, scaleOf } from './largest-batch.ts'
import { AVERAGE, type Curve, DELTAS, GRADIENTS, type Scale, cellOf, exponentsOf, tuneOne } from './scaling.ts'

const CURVES: readonly Curve[] = [AVERAGE, { op: 'sum', of: 'gradients' }, DELTAS, GRADIENTS]
/** The share of all steps that is looked at on both sides of a change. */
const WINDOW = 0.03

interface Changing {
  readonly curve: Curve
  readonly own: Setting
  readonly atOne: Setting
  /** By seed, at the curve's own rate: rises of the loss, and the standard deviations of the losses before. */
  readonly jumps: readonly number[]
  readonly spreads: readonly number[]
}

function elasticScale(quick: boolean): Scale {
  const scale = scaleOf(quick)
  const samples = quick ? scale.task.samples : 110_000
  return { ...scale, task: { ...scale.task, samples }, worldSizes: quick ? [4, 2, 6] : [8, 4, 12] }
}

async function study(context: Context): Promise<Outcome> {
  const scale = elasticScale(context.quick)
  const { rate } = await tuneOne(context, scaleOf(context.quick))
  const all = await Promise.all(CURVES.map((curve) => changing(context, scale, curve, rate)))
  const average = all.find(({ curve }) => curve === AVERAGE)!
  const [, fewer, more] = scale.worldSizes
  return {
    settings: all.flatMap(({ own, atOne }) => [own, atOne]),
    findings: [
      ...all.map(({ curve, jumps }) => ({
        name: `${curveOf(curve)}: rise of the loss at ${fewer} to ${more} workers`,
        ...summarize(jumps),
      })),
      {
        name: `${curveOf(AVERAGE)}: rise of the loss at ${fewer} to ${more} workers less the deviation of the steps before`,
        ...summarizePairs(average.jumps, average.spreads),
      },
      ...all
        .filter((each) => each !== average)
        .map(({ curve, atOne }) => ({
          name: `${curveOf(curve)} over average, at one worker's rate: difference in accuracy`,
          ...summarizePairs(atOne.values, average.atOne.values),
        })),
    ],
  }
}

/** The rate is chosen for the first number of workers, and then their number changes. */
async function changing(context: Context, scale: Scale, curve: Curve, oneRate: number): Promise<Changing> {
  const first = scale.worldSizes[0]!
  const fixed = { ...cellOf(scale.task, curve, first), decay: 'none' as const }
  // The sum at a rate is the average at so many times the rate.
  const exponents = curve.op === 'sum' ? range(-1 - Math.log2(first), 1) : exponentsOf(curve, first)
  const { rate, insideGrid } = await choose(context, fixed, oneRate, exponents)
  const cell = { ...fixed, workers: scale.worldSizes, evaluationCount: scale.testCount, keepsLosses: true }
  const [own, atOne, results] = await Promise.all([
    finals(context, { ...cell, rate }, scale.seeds, {
      part: 'best rate of the first number',
      bestInsideGrid: insideGrid,
    }),
    finals(context, { ...cell, rate: oneRate }, scale.seeds, { part: "one worker's rate", bestInsideGrid: null }),
    runSeeds(context, { ...cell, rate }, scale.seeds),
  ])
  const windows = results.map((result) => windowsOf(result, cell))
  return { curve, own, atOne, jumps: windows.map(jumpOf), spreads: windows.map(({ before }) => deviationOf(before)) }
}

/** Losses of steps on both sides of the last change; none if a run that diverged did not come so far. */
export function windowsOf(
  { losses = [], diverged }: Pick<Result, 'losses' | 'diverged'>,
  cell: Pick<Cell, 'workers' | 'localBatch' | 'samples'>,
): { before: number[]; behind: number[] } {
  const steps = phasesOf(cell).map((phase) => phase.steps)
  const total = steps.reduce((sum, count) => sum + count, 0)
  const change = total - steps.at(-1)!
  const window = Math.max(1, Math.round(WINDOW * total))
  if (diverged && losses.length < change + window) return { before: [], behind: [] }
  return {
    before: losses.slice(Math.max(0, change - window), change),
    behind: losses.slice(change, change + window),
  }
}

/** By how much the mean loss rises at the change; NaN if it was not reached. */
export function jumpOf({ before, behind }: { before: readonly number[]; behind: readonly number[] }): number {
  return meanOf(behind) - meanOf(before)
}

/** The standard deviation; NaN of no values. */
function deviationOf(values: readonly number[]): number {
  const mean = meanOf(values)
  return Math.sqrt(meanOf(values.map((value) => (value - mean) ** 2)))
}

export const elastic: Study = {
  name: 'elastic',
  question: 'What happens if the number of workers changes and the learning rate does not?',
  models: ['lenet'],
  run: study,
  processCell: (quick) => processCellOf(scaleOf(quick)),
}
