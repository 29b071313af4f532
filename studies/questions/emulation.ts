/** Which operator's one step is nearest to the sequence of the steps that it stands for? */
import type { Cell, EmulationPoint } from '../training/cell.ts'
import { range } from '../engine/grid.ts'
import { slopeOf, summarizePairs } from '../engine/statistics.ts'
import { type Context, type Finding, type Outcome, type Study, runSeeds, settingOf, together } from '../engine/study.ts'
import { processCellOf, scaleOf } from './largest-batch.ts'
import { AVERAGE, type Scale, cellOf, tuneOne } from './scaling.ts'

const FACTORS = [0.25, 1, 4]
const FIRST_TENTH = 0.1
const OPS = ['sum', 'average', 'adasum', 'damped', 'adascale'] as const

function sgdScale(quick: boolean): Scale {
  const scale = scaleOf(quick)
  const task = { ...scale.task, optimizer: 'sgd' as const, samples: quick ? scale.task.samples : 55_000 }
  return { ...scale, task, worldSizes: quick ? [2, 8] : [2, 4, 8, 16, 32, 64], seeds: scale.seeds.slice(0, 3), base: 0.1, oneWorker: range(-2, 3) } // prettier-ignore
}

async function study(context: Context): Promise<Outcome> {
  const scale = sgdScale(context.quick)
  const { rate } = await tuneOne(context, scale)
  const parts = await Promise.all(FACTORS.map((factor) => distances(context, scale, rate, factor)))
  return together(parts)
}

async function distances(context: Context, scale: Scale, oneRate: number, factor: number): Promise<Outcome> {
  const rate = factor * oneRate
  const cell: Omit<Cell, 'seed' | 'split'> = {
    ...cellOf(scale.task, AVERAGE, scale.worldSizes),
    ...{ task: 'emulation', rate, evaluationCount: scale.testCount },
  }
  const results = await runSeeds(context, cell, scale.seeds)
  const valuesOf = (op: string, workers: number, until: number): number[] =>
    results.map(({ emulation = [] }) => meanDistance(emulation, op, workers, until))
  const settings = scale.worldSizes.flatMap((workers) =>
    OPS.flatMap((op) =>
      [FIRST_TENTH, 1].map((until) => {
        const part = `${factor} times one worker's rate, ${until === 1 ? 'all of training' : 'first tenth'}`
        const about = { part, bestInsideGrid: null, measure: 'distance', values: valuesOf(op, workers, until) }
        return settingOf({ ...cell, op, of: 'gradients', workers }, scale.seeds, results, about)
      }),
    ),
  )
  const others = (['sum', 'average'] as const).flatMap((other) =>
    scale.worldSizes.map((workers): Finding => {
      const [one, two] = [other, 'adasum'].map((op) => valuesOf(op, workers, FIRST_TENTH))
      const name = `${factor} times one worker's rate, ${workers} workers, first tenth: ${other} is farther than Adasum by`
      return { name, ...summarizePairs(one!, two!) }
    }),
  )
  const growth = OPS.map((op): Finding => {
    const points = scale.worldSizes.map((workers): [number, number] => {
      const values = valuesOf(op, workers, 1)
      return [Math.log2(workers), values.reduce((sum, value) => sum + value, 0) / values.length]
    })
    return { name: `${factor} times one worker's rate: distance of ${op} for each doubling`, mean: slopeOf(points) }
  })
  return { settings, findings: [...others, ...growth] }
}

/** Mean over the places before a share of training; NaN if the run did not come so far. */
function meanDistance(points: readonly EmulationPoint[], op: string, workers: number, until: number): number {
  const found = points.filter((point) => point.workers === workers && point.progress < until)
  return found.reduce((sum, { distance }) => sum + distance[op]!, 0) / found.length
}

export const emulation: Study = {
  name: 'emulation',
  question: 'Which combined step is nearest to the sequence of steps that it stands for?',
  models: ['lenet'],
  run: study,
  processCell: (quick) => processCellOf(scaleOf(quick)),
}
