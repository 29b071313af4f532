/** What does an exchange in bf16 or int8 cost each operator? */
import { summarizePairs } from '../engine/statistics.ts'
import { type Context, type Outcome, type Study, choose, finals, curveOf, together } from '../engine/study.ts'
import { processCellOf, scaleOf } from './largest-batch.ts'
import { AVERAGE, type Curve, DELTAS, type Scale, cellOf, exponentsOf, tuneOne } from './scaling.ts'

const CURVES: readonly Curve[] = [AVERAGE, DELTAS]
const FORMATS = ['bf16', 'int8'] as const

/** Every run in such a format starts a world of processes, so quick ones are few and small. */
function precisionScale(quick: boolean): Scale {
  const scale = scaleOf(quick)
  return { ...scale, worldSizes: [quick ? 2 : 8], seeds: quick ? [11, 12] : [11, 12, 13] }
}

async function study(context: Context): Promise<Outcome> {
  const scale = precisionScale(context.quick)
  const { rate } = await tuneOne(context, scale)
  const parts = await Promise.all(CURVES.map((curve) => inAllFormats(context, scale, curve, rate)))
  return together(parts)
}

/** At the rate that is best without a format. */
async function inAllFormats(context: Context, scale: Scale, curve: Curve, oneRate: number): Promise<Outcome> {
  const workers = scale.worldSizes[0]!
  const cell = cellOf(scale.task, curve, workers)
  const { rate, insideGrid } = await choose(context, cell, oneRate, exponentsOf(curve, workers))
  const final = { ...cell, rate, evaluationCount: scale.testCount }
  const [whole, ...others] = await Promise.all([
    finals(context, final, scale.seeds, { part: 'f32', bestInsideGrid: insideGrid }),
    ...FORMATS.map((precision) =>
      finals(context, { ...final, precision }, scale.seeds, { part: precision, bestInsideGrid: null }),
    ),
  ])
  const findings = others.map(({ part, values }) => ({
    name: `${curveOf(curve)}, ${workers} workers, ${part}: loss of accuracy`,
    ...summarizePairs(whole.values, values),
  }))
  return { settings: [whole, ...others], findings }
}

export const precision: Study = {
  name: 'precision',
  question: 'What does an exchange in bf16 or int8 cost each operator? By processes, through compressors.',
  models: ['lenet'],
  run: study,
  processCell: (quick) => processCellOf(scaleOf(quick)),
}
