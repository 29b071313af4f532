/** The same question as largest-batch, for LAMB and Adam on a transformer that reads characters. */
import { range } from '../engine/grid.ts'
import { summarizePairs } from '../engine/statistics.ts'
import {
  type Context,
  type Outcome,
  type Score,
  type Setting,
  type Study,
  byLoss,
  finals,
  curveOf,
  together,
} from '../engine/study.ts'
import { processCellOf } from './largest-batch.ts'
import { AVERAGE, type Curve, DELTAS, GRADIENTS, type Scale, type Tuned, finalCellOf, finalOne, regretOf, shorterSchedules, slopeFinding, tune, tuneOne } from './scaling.ts' // prettier-ignore

/** Averages of deltas, too: what moments of their own do for workers is not to be credited to Adasum. */
const CURVES: readonly Curve[] = [AVERAGE, { op: 'average', of: 'deltas' }, DELTAS, GRADIENTS]
/** Rates of one worker around which its grid lies. */
const BASES = { adam: 0.002, lamb: 0.01 }
/** A million characters in pieces of 64. */
const SAMPLES = 15_625
const QUICK_SAMPLES = 64
/** 512 characters: of one piece hardly anybody could tell the novel. */
const PROBE_PIECES = 8

/** How well a linear probe tells novels apart; nothing where the run diverged. */
const byProbe: Score = { measure: 'accuracy of the probe', sign: 1, of: ({ probe }) => probe ?? NaN }

export function scaleOf(optimizer: 'adam' | 'lamb', quick: boolean): Scale {
  return {
    task: {
      ...{ model: 'characters', data: 'austen', optimizer, localBatch: 8 },
      samples: quick ? QUICK_SAMPLES : SAMPLES,
      trainingCount: quick ? QUICK_SAMPLES : SAMPLES,
      evaluationCount: quick ? 32 : 1000,
    },
    testCount: quick ? 32 : 5000,
    worldSizes: quick ? [4] : [8, 32],
    seeds: quick ? [11, 12] : [11, 12, 13],
    base: BASES[optimizer],
    oneWorker: range(-2, 2),
    score: byLoss,
    probePieces: quick ? 2 : PROBE_PIECES,
    // What divides by a gradient's size is to find its best rate between one worker's and n times it.
    exponents: ({ of, op }, workers) =>
      of === 'gradients' || op === 'average' ? range(0, Math.log2(workers)) : range(-2, 2),
  }
}

async function run(context: Context, scale: Scale): Promise<Outcome> {
  const one = await tuneOne(context, scale)
  const [single, ...tuned] = await Promise.all([
    finalOne(context, scale, one),
    ...scale.worldSizes.flatMap((workers) =>
      CURVES.filter((curve) => curve !== GRADIENTS || workers === scale.worldSizes.at(-1)).map((curve) =>
        tune(context, scale, curve, workers, one.rate),
      ),
    ),
  ])
  const [short, probed] = await Promise.all([
    shorter(context, scale, tuned),
    probes(context, scale, [{ curve: AVERAGE, workers: 1, rate: one.rate }, ...tuned]),
  ])
  return {
    settings: [single, ...tuned.flatMap(({ best, untuned }) => [best, untuned]), ...short.settings, ...probed.settings],
    findings: [
      ...tuned.map((each) => regretOf(each, byLoss)),
      ...CURVES.map((curve) => slopeFinding(curve, tuned, one.rate)),
      ...short.findings,
      ...probed.findings,
    ],
  }
}

/** Whether the most workers reach the loss of the average of gradients in fewer steps. */
function shorter(context: Context, scale: Scale, tuned: readonly Tuned[]): Promise<Outcome> {
  const workers = scale.worldSizes.at(-1)!
  const most = tuned.filter((each) => each.workers === workers)
  const curves = most.filter(({ curve }) => curve === AVERAGE || curve === DELTAS)
  return shorterSchedules(context, scale, curves, {
    goal: most.find(({ curve }) => curve === AVERAGE)!.best.mean,
    nameOf: (curve) =>
      `${scale.task.optimizer}, ${curveOf(curve)}, ${workers} workers: least share of the steps with the average's loss`,
  })
}

/** What the models at their best rates are worth for another question, and how far each is from the average. */
async function probes(
  context: Context,
  scale: Scale,
  tuned: readonly Pick<Tuned, 'curve' | 'workers' | 'rate'>[],
): Promise<Outcome> {
  const settings = await Promise.all(
    tuned.map(({ curve, workers, rate }) => {
      const about = { part: 'linear probe', bestInsideGrid: null, score: byProbe }
      return finals(context, { ...finalCellOf(scale, curve, workers), rate }, scale.seeds, about)
    }),
  )
  const isAverage = (each: Setting): boolean => curveOf(each) === curveOf(AVERAGE)
  const findings = settings
    .filter((each) => !isAverage(each))
    .map((each) => {
      const average = settings.find((other) => isAverage(other) && other.workers === each.workers)!
      const name = `${each.optimizer}, ${curveOf(each)}, ${String(each.workers)} workers: probe better than the average's by`
      return { name, ...summarizePairs(each.values, average.values) }
    })
  return { settings, findings }
}

export const transformer: Study = {
  name: 'transformer',
  question: 'The same for LAMB and Adam on a transformer, and does Adasum take fewer steps to the same loss?',
  models: ['characters'],
  async run(context) {
    const parts = await Promise.all(
      (['lamb', 'adam'] as const).map((each) => run(context, scaleOf(each, context.quick))),
    )
    return together(parts)
  },
  processCell: (quick) => {
    const scale = scaleOf('lamb', quick)
    return processCellOf({ ...scale, task: { ...scale.task, samples: Math.min(scale.task.samples, 960) } })
  },
}
