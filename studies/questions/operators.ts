/** How do other operators over the same Gram matrix do, and what does one bad worker do to each? */
import { summarizePairs } from '../engine/statistics.ts'
import {
  type Context,
  type Finding,
  type Outcome,
  type Study,
  byAccuracy,
  finals,
  curveOf,
  together,
} from '../engine/study.ts'
import { processCellOf, scaleOf } from './largest-batch.ts'
import {
  AVERAGE,
  type Curve,
  DELTAS,
  GRADIENTS,
  type Scale,
  type Tuned,
  finalCellOf,
  regretOf,
  tune,
  tuneOne,
} from './scaling.ts'
import { scaleOf as transformerScaleOf } from './transformer.ts'

const CURVES: readonly Curve[] = [
  AVERAGE,
  DELTAS,
  GRADIENTS,
  { op: 'adascale', of: 'deltas' },
  { op: 'adacons', of: 'gradients' },
  { op: 'gaf', of: 'gradients' },
]
const BAD = ['noise', 'opposite'] as const
/** Those that are tried with bad workers. */
const TRIED: readonly string[] = [AVERAGE, DELTAS, { op: 'gaf', of: 'gradients' } as const].map(curveOf)
const SEED_COUNT = 3

/** On the transformer, whose rates of average and Adasum the study of it chooses. */
const CURVES_OF_TRANSFORMER: readonly Curve[] = [
  AVERAGE,
  DELTAS,
  { op: 'adascale', of: 'deltas' },
  { op: 'adacons', of: 'gradients' },
  { op: 'gaf', of: 'gradients' },
]

async function study(context: Context): Promise<Outcome> {
  const lenet = scaleOf(context.quick)
  const parts = await Promise.all([
    compare(context, { ...lenet, worldSizes: [lenet.worldSizes[1]!], seeds: lenet.seeds.slice(0, SEED_COUNT) }, CURVES),
    compare(context, transformerScale(context.quick), CURVES_OF_TRANSFORMER),
  ])
  return together(parts)
}

/** LAMB, with the most workers that the study of the transformer has. */
function transformerScale(quick: boolean): Scale {
  const scale = transformerScaleOf('lamb', quick)
  return { ...scale, worldSizes: scale.worldSizes.slice(-1) }
}

/** All operators at the one number of workers that the scale has. */
async function compare(context: Context, scale: Scale, curves: readonly Curve[]): Promise<Outcome> {
  const { rate } = await tuneOne(context, scale)
  const all = await Promise.all(curves.map((curve) => tune(context, scale, curve, scale.worldSizes[0]!, rate)))
  const tried = all.filter(({ curve }) => TRIED.includes(curveOf(curve)))
  const bad = await Promise.all(tried.map((tuned) => withBadWorkers(context, scale, tuned)))
  const average = all.find(({ curve }) => curve === AVERAGE)!
  return {
    settings: [...all.flatMap(({ best, untuned }) => [best, untuned]), ...bad.flatMap(({ settings }) => settings)],
    findings: [
      ...all.map((tuned) => regretOf(tuned, scale.score)),
      ...bad.flatMap(({ findings }) => findings),
      ...all.filter((tuned) => tuned !== average).map((tuned) => besideAverage(tuned, average)),
    ],
  }
}

function besideAverage({ curve, rate, best }: Tuned, average: Tuned): Finding {
  const name = `${best.model}, ${curveOf(curve)}, ${String(best.workers)} workers: best rate over the average's`
  return { name, mean: rate / average.rate }
}

async function withBadWorkers(context: Context, scale: Scale, { curve, workers, rate, best }: Tuned): Promise<Outcome> {
  const { isLogged: _isLogged, probePieces: _probePieces, ...cell } = finalCellOf(scale, curve, workers)
  const score = scale.score ?? byAccuracy
  const settings = await Promise.all(
    BAD.map((badWorker) => {
      const part = `one worker sends ${badWorker === 'noise' ? 'noise' : 'the opposite'}`
      return finals(context, { ...cell, rate, badWorker }, scale.seeds, { part, bestInsideGrid: null, score })
    }),
  )
  const findings = settings.map(({ part, values }) => ({
    name: `${best.model}, ${curveOf(curve)}, ${workers} workers, ${part}: worse by (${score.measure})`,
    ...(score.sign === 1 ? summarizePairs(best.values, values) : summarizePairs(values, best.values)),
  }))
  return { settings, findings }
}

export const operators: Study = {
  name: 'operators',
  question: 'How do AdaCons, GAF and 1 / (1 + cos) do, and what does one bad worker do to each operator?',
  models: ['lenet', 'characters'],
  run: study,
  processCell: (quick) => processCellOf(scaleOf(quick), { op: 'gaf', of: 'gradients' }),
}
