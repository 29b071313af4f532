/** What happens if the number of workers changes and the learning rate does not? */
import type { Cell, Result } from '../training/cell.ts'
import { range } from '../engine/grid.ts'
import { summarize, summarizePairs } from '../engine/statistics.ts'
import { type Context, type Outcome, type Setting, type Study, choose, finals, runSeeds } from '../engine/study.ts'
import { processCellOf, scaleOf } from './largest-batch.ts'
import { AVERAGE, type Curve, DELTAS, GRADIENTS, type Scale, cellOf, exponentsOf, nameOf, tuneOne } from './scaling.ts'

const CURVES: readonly Curve[] = [AVERAGE, { op: 'sum', of: 'gradients' }, DELTAS, GRADIENTS]
/** The share of all steps that is looked at on both sides of a change. */
const WINDOW = 0.03

interface Changing {
  readonly curve: Curve
  readonly own: Setting
  readonly atOne: Setting
  /** By seed, at the curve's own rate. */
  readonly jumps: readonly number[]
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
        name: `${nameOf(curve)}: rise of the loss at ${fewer} to ${more} workers`,
        ...summarize(jumps),
      })),
      ...all
        .filter((each) => each !== average)
        .map(({ curve, atOne }) => ({
          name: `${nameOf(curve)} over average, at one worker's rate: difference in accuracy`,
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
  return { curve, own, atOne, jumps: results.map((result) => jumpOf(result, cell)) }
}

/** By how much the mean loss rises from the steps before the last change to those behind it; NaN if it was not reached. */
export function jumpOf(
  { losses = [], diverged }: Result,
  { workers, localBatch, samples }: Pick<Cell, 'workers' | 'localBatch' | 'samples'>,
): number {
  // prettier-ignore
  const counts = typeof workers === 'number' ? [workers] : workers
  const steps = counts.map((count) => Math.max(1, Math.floor(samples / counts.length / (localBatch * count))))
  const total = steps.reduce((sum, count) => sum + count, 0)
  const change = total - steps.at(-1)!
  const window = Math.max(1, Math.round(WINDOW * total))
  const mean = (part: readonly number[]): number => part.reduce((sum, loss) => sum + loss, 0) / part.length
  if (diverged && losses.length < change + window) return NaN
  return mean(losses.slice(change, change + window)) - mean(losses.slice(Math.max(0, change - window), change))
}

export const elastic: Study = {
  name: 'elastic',
  question: 'What happens if the number of workers changes and the learning rate does not?',
  models: ['lenet'],
  run: study,
  processCell: (quick) => processCellOf(scaleOf(quick)),
}
