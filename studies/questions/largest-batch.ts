/** Up to how many workers does an operator keep the accuracy of one, and at which learning rate? */
import type { Cell } from '../training/cell.ts'
import { HELD_OUT } from '../training/model.ts'
import { range } from '../engine/grid.ts'
import { summarizePairs } from '../engine/statistics.ts'
import {
  type Context,
  type Finding,
  type Outcome,
  type Setting,
  type Study,
  finals,
  curveOf,
  together,
} from '../engine/study.ts'
import {
  AVERAGE,
  type Curve,
  DELTAS,
  GRADIENTS,
  type Scale,
  type Task,
  type Tuned,
  cellOf,
  finalOne,
  regretOf,
  shorterSchedules,
  slopeFinding,
  tune,
  tuneOne,
} from './scaling.ts'

const CURVES: readonly Curve[] = [
  AVERAGE,
  DELTAS,
  GRADIENTS,
  { op: 'damped', of: 'deltas' },
  { op: 'adascale', of: 'deltas' },
]
/** What counts as the same accuracy. */
const TOLERANCE = 0.005
/** Those for which shorter schedules, and schedules without warm-up, are tried, too. */
const IN_DETAIL: readonly Curve[] = [AVERAGE, DELTAS]
const TRAINING_COUNT = 55_000
const QUICK_COUNT = 768

/** LeNet-5 on Fashion-MNIST. */
export function scaleOf(quick: boolean): Scale {
  const task: Task = {
    ...{ model: 'lenet', data: 'fashion-mnist', optimizer: 'momentum', localBatch: 32 },
    samples: quick ? QUICK_COUNT : 6 * TRAINING_COUNT,
    trainingCount: quick ? QUICK_COUNT : TRAINING_COUNT,
    evaluationCount: quick ? 256 : HELD_OUT,
  }
  const sizes = quick ? { worldSizes: [4, 8], seeds: [11, 12] } : { worldSizes: [8, 32, 128], seeds: [11, 12, 13, 14] }
  return { task, ...sizes, testCount: quick ? 256 : 10_000, base: 0.01, oneWorker: range(-2, 3) }
}

/** Adam on MNIST: a smaller copy, in which averages of gradients and of deltas differ. */
function adamScale(quick: boolean): Scale {
  const scale = scaleOf(quick)
  const samples = quick ? QUICK_COUNT : 2 * TRAINING_COUNT
  const task: Task = { ...scale.task, data: 'mnist', optimizer: 'adam', samples }
  return { ...scale, task, worldSizes: [quick ? 4 : 16], seeds: scale.seeds.slice(0, 3), base: 0.001, oneWorker: range(-1, 2) } // prettier-ignore
}

/** A network with batch norm: one number of workers. */
function residualScale(quick: boolean): Scale {
  const scale = scaleOf(quick)
  const samples = quick ? QUICK_COUNT : TRAINING_COUNT
  const task: Task = { ...scale.task, model: 'residual', samples }
  return { ...scale, task, worldSizes: [quick ? 4 : 32], seeds: scale.seeds.slice(0, 3), base: 0.04 }
}

const ADAM_CURVES: readonly Curve[] = [AVERAGE, { op: 'average', of: 'deltas' }, DELTAS, GRADIENTS]

/** A smaller model that trains anywhere in seconds: for tests of the engine, through the same code. */
function plainScale(quick: boolean): Scale {
  const task: Task = {
    ...{ model: 'plain', data: 'made-up', optimizer: 'momentum', localBatch: 8 },
    ...{ samples: quick ? 1024 : 16_384, trainingCount: quick ? 1024 : 16_384, evaluationCount: 500 },
  }
  return { task, worldSizes: [4], seeds: [11, 12], testCount: 500, base: 0.04, oneWorker: range(-2, 3) }
}

async function run(
  context: Context,
  scale: Scale,
  curves: readonly Curve[],
  isInDetail: boolean = false,
): Promise<Outcome> {
  const one = await tuneOne(context, scale)
  const [single, ...tuned] = await Promise.all([
    finalOne(context, scale, one),
    ...scale.worldSizes.flatMap((workers) =>
      curves
        .filter((curve) => isTried(scale, curve, workers))
        .map((curve) => tune(context, scale, curve, workers, one.rate)),
    ),
  ])
  const extra = isInDetail ? await extras(context, scale, single, tuned) : NOTHING
  return {
    settings: [single, ...tuned.flatMap(({ best, untuned }) => [best, untuned]), ...extra.settings],
    findings: [
      ...tuned.map((each) => regretOf(each)),
      ...curves.map((curve) => slopeFinding(curve, tuned, one.rate)),
      ...curves.map((curve) => largestFinding(curve, single, tuned)),
      ...extra.findings,
    ],
  }
}

/** Curves that lie near Adasum's are tried with the number of workers only that is looked at in detail. */
function isTried(scale: Scale, { op }: Curve, workers: number): boolean {
  const isNear = op === 'damped' || op === 'adascale'
  return !isNear || workers === middleOf(scale)
}

/** The number of workers for which details are looked at. */
const middleOf = ({ worldSizes }: Scale): number => worldSizes[Math.floor(worldSizes.length / 2)]!

const NOTHING: Outcome = { settings: [], findings: [] }

/** The largest number of workers that stays within half a point of one, in the mean of paired seeds. */
function largestFinding(curve: Curve, single: Setting, tuned: readonly Tuned[]): Finding {
  const good = tuned.filter(
    (each) => each.curve === curve && summarizePairs(single.values, each.best.values).mean <= TOLERANCE,
  )
  const name = `${single.model} ${single.optimizer}, ${curveOf(curve)}: most workers within 0.5 points of one`
  return { name, mean: Math.max(1, ...good.map(({ workers }) => workers)) }
}

async function extras(context: Context, scale: Scale, single: Setting, tuned: readonly Tuned[]): Promise<Outcome> {
  const [short, cold, micro] = await Promise.all([
    shorterSchedules(context, scale, detailed(tuned, middleOf(scale)), {
      goal: single.mean,
      nameOf: (curve) =>
        `${curveOf(curve)}, ${middleOf(scale)} workers: least share of the steps with one worker's accuracy`,
    }),
    withoutWarmup(context, scale, tuned),
    microBatches(context, scale, tuned),
  ])
  const all = [short, cold, micro]
  return together(all)
}

/** The curves that are looked at in detail, with so many workers. */
function detailed(tuned: readonly Tuned[], workers: number): Tuned[] {
  return tuned.filter((each) => each.workers === workers && IN_DETAIL.includes(each.curve))
}

/** What the best rate of the most workers loses without warm-up. */
async function withoutWarmup(context: Context, scale: Scale, tuned: readonly Tuned[]): Promise<Outcome> {
  const workers = scale.worldSizes.at(-1)!
  const curves = detailed(tuned, workers)
  const settings = await Promise.all(
    curves.map(({ curve, rate }) => {
      const cell = { ...cellOf(scale.task, curve, workers), evaluationCount: scale.testCount, rate, warmup: 0 }
      return finals(context, cell, scale.seeds, { part: 'no warm-up', bestInsideGrid: null })
    }),
  )
  const findings = curves.map(({ curve, best }, index) => ({
    name: `${curveOf(curve)}, ${workers} workers: loss of accuracy without warm-up`,
    ...summarizePairs(best.values, settings[index]!.values),
  }))
  return { settings, findings }
}

/** One worker with k micro-batches is to be k workers, to the bit. */
async function microBatches(context: Context, scale: Scale, tuned: readonly Tuned[]): Promise<Outcome> {
  const { workers, rate, best } = tuned.find(({ curve }) => curve === GRADIENTS)!
  const cell: Omit<Cell, 'seed' | 'split'> = {
    ...cellOf(scale.task, GRADIENTS, 1),
    ...{ evaluationCount: scale.testCount, rate, microBatches: workers },
  }
  // They are equal or not: one seed says it.
  const setting = await finals(context, cell, scale.seeds.slice(0, 1), {
    part: `${workers} micro-batches`,
    bestInsideGrid: null,
  })
  const name = `one worker with ${workers} micro-batches beside ${workers} workers: difference in accuracy`
  return { settings: [setting], findings: [{ name, mean: setting.values[0]! - best.values[0]! }] }
}

/** As the rates are not known beforehand, the cell for processes has one near those that are good. */
export function processCellOf({ task, base }: Scale, curve: Curve = DELTAS): Cell {
  return { ...cellOf({ ...task, samples: Math.min(task.samples, 16_384) }, curve, 4), rate: base, seed: 21, split: 'validation' } // prettier-ignore
}

export const largestBatch: Study = {
  name: 'largest-batch',
  question:
    'How many workers keep the accuracy of one, and at which rate? LeNet-5 and a residual network on Fashion-MNIST; Adam on MNIST.',
  models: ['lenet', 'residual'],
  async run(context) {
    const parts = await Promise.all([
      run(context, scaleOf(context.quick), CURVES, true),
      run(context, adamScale(context.quick), ADAM_CURVES),
      run(context, residualScale(context.quick), [AVERAGE, DELTAS, GRADIENTS]),
    ])
    return together(parts)
  },
  processCell: (quick) => processCellOf(scaleOf(quick)),
}

export const plain: Study = {
  name: 'plain',
  question: 'Does the engine work? The same code on made-up points, without a framework: no evidence of anything else.',
  models: ['plain'],
  run: (context) => run(context, plainScale(context.quick), CURVES, true),
  processCell: (quick) => processCellOf(plainScale(quick)),
}
