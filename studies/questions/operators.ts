/** How do other operators over the same Gram matrix do, and what does one bad worker do to each? */
import { summarizePairs } from '../engine/statistics.ts'
import { type Context, type Outcome, type Study, finals } from '../engine/study.ts'
import { processCellOf, scaleOf } from './largest-batch.ts'
import {
  AVERAGE,
  type Curve,
  DELTAS,
  GRADIENTS,
  type Scale,
  cellOf,
  nameOf,
  regretOf,
  tune,
  tuneOne,
} from './scaling.ts'

const CURVES: readonly Curve[] = [
  AVERAGE,
  DELTAS,
  GRADIENTS,
  { op: 'adascale', of: 'deltas' },
  { op: 'adacons', of: 'gradients' },
  { op: 'gaf', of: 'gradients' },
]
const BAD = ['noise', 'opposite'] as const

async function study(context: Context): Promise<Outcome> {
  const scale = scaleOf(context.quick)
  const { rate } = await tuneOne(context, scale)
  const parts = await Promise.all(CURVES.map((curve) => withBadWorkers(context, scale, curve, rate)))
  return { settings: parts.flatMap(({ settings }) => settings), findings: parts.flatMap(({ findings }) => findings) }
}

async function withBadWorkers(context: Context, scale: Scale, curve: Curve, oneRate: number): Promise<Outcome> {
  const workers = scale.worldSizes[1]!
  const tuned = await tune(context, scale, curve, workers, oneRate)
  const cell = { ...cellOf(scale.task, curve, workers), evaluationCount: scale.testCount, rate: tuned.rate }
  const bad = await Promise.all(
    BAD.map((badWorker) => {
      const about = {
        part: `one worker sends ${badWorker === 'noise' ? 'noise' : 'the opposite'}`,
        bestInsideGrid: null,
      }
      return finals(context, { ...cell, badWorker }, scale.seeds, about)
    }),
  )
  const findings = bad.map(({ part, values }) => ({
    name: `${nameOf(curve)}, ${workers} workers, ${part}: loss of accuracy`,
    ...summarizePairs(tuned.best.values, values),
  }))
  return { settings: [tuned.best, tuned.untuned, ...bad], findings: [regretOf(tuned), ...findings] }
}

export const operators: Study = {
  name: 'operators',
  question: 'How do AdaCons, GAF and 1 / (1 + cos) do, and what does one bad worker do to each operator?',
  models: ['lenet'],
  run: study,
  processCell: (quick) => processCellOf(scaleOf(quick), { op: 'gaf', of: 'gradients' }),
}
