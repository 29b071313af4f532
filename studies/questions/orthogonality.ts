/** How orthogonal are gradients and deltas, layer by layer, and is a step as long as the formula says? */
import type { Cell, LogPoint, Result } from '../training/cell.ts'
import { meanOf, summarize, summarizePairs } from '../engine/statistics.ts'
import {
  type Context,
  type Finding,
  type Outcome,
  type Setting,
  type Study,
  runSeeds,
  settingOf,
  curveOf,
  together,
} from '../engine/study.ts'
import { processCellOf, scaleOf } from './largest-batch.ts'
import { type Curve, DELTAS, GRADIENTS, type Scale, cellOf, tuneOne } from './scaling.ts'

const CURVES = [DELTAS, GRADIENTS]
const TENTH = 0.1
/** What counts as different, between two layers. */
const DIFFERENT = 0.1
/** Where the schedule with drops drops first. */
const DROP = 0.5

/** The step over the average, in the model of docs/studies/predictions.md. */
export function stepOf(workers: number, signal: number): number {
  const x = Math.max(0, signal)
  return (workers * (1 + x / 2)) / (1 + (workers * x) / 2)
}

interface Places {
  readonly first: number
  readonly beforeDrop: number
  readonly afterDrop: number
  readonly last: number
}

/** Mean orthogonality of all layers in tenths of a run; a tenth has at least one logged step. NaN if nothing was logged. */
export function orthogonalityOf(log: readonly LogPoint[]): Places {
  const tenth = Math.max(1, Math.round(TENTH * log.length))
  const drop = log.findIndex(({ progress }) => progress >= DROP)
  const over = (points: readonly LogPoint[]): number => meanOf(points.map(({ orthogonality }) => meanOf(orthogonality)))
  return {
    first: over(log.slice(0, tenth)),
    beforeDrop: over(log.slice(Math.max(0, drop - tenth), drop)),
    afterDrop: over(log.slice(drop, drop + tenth)),
    last: over(log.slice(-tenth)),
  }
}

async function study(context: Context): Promise<Outcome> {
  const scale = scaleOf(context.quick)
  const { rate } = await tuneOne(context, scale)
  const parts = await Promise.all(
    CURVES.flatMap((curve) =>
      (['linear', 'drops'] as const).map((decay) => logged(context, scale, curve, decay, rate)),
    ),
  )
  return together(parts)
}

async function logged(
  context: Context,
  scale: Scale,
  curve: Curve,
  decay: Cell['decay'],
  rate: number,
): Promise<Outcome> {
  const workers = scale.worldSizes[1]!
  const cell = { ...cellOf(scale.task, curve, workers), evaluationCount: scale.testCount, rate, decay, isLogged: true }
  const results = await runSeeds(context, cell, scale.seeds)
  const places = results.map(({ log = [] }) => orthogonalityOf(log))
  const at = (place: keyof Places): number[] => places.map((each) => each[place])
  const setting = (part: string, values: number[]): Setting =>
    settingOf(cell, scale.seeds, results, { part, bestInsideGrid: null, measure: 'orthogonality', values })
  const [first, last] = [at('first'), at('last')]
  const about = `${curveOf(curve)}, ${workers} workers, ${decay}`
  const settings = [setting(`${decay}: first tenth`, first), setting(`${decay}: last tenth`, last)]
  const rise = { name: `${about}: rise of orthogonality to the last tenth`, ...summarizePairs(last, first) }
  if (decay === 'drops') {
    const drop = {
      name: `${about}: rise of orthogonality at the first drop`,
      ...summarizePairs(at('afterDrop'), at('beforeDrop')),
    }
    return { settings, findings: [rise, drop] }
  }
  return { settings, findings: [rise, ...layerFindings(about, workers, results)] }
}

function layerFindings(about: string, workers: number, results: readonly Result[]): Finding[] {
  const differ = ({ orthogonality }: LogPoint): boolean =>
    Math.max(...orthogonality) - Math.min(...orthogonality) > DIFFERENT
  const shares = results.map(({ log = [] }) => meanOf(log.map((point) => Number(differ(point)))))
  const layers = results[0]?.log?.[0]?.step.map((_, layer) => layer) ?? []
  const ratios = layers.map((layer): Finding => {
    const bySeed = results.map(({ log = [] }) =>
      meanOf(log.map(({ step, signal }) => step[layer]! / stepOf(workers, signal[layer]!))),
    )
    return { name: `${about}, array ${layer}: step that was measured over that of the formula`, ...summarize(bySeed) }
  })
  return [{ name: `${about}: share of steps in which layers differ`, ...summarize(shares) }, ...ratios]
}

export const orthogonality: Study = {
  name: 'orthogonality',
  question: 'How orthogonal are gradients and deltas, by layer and over time, and is a step as long as predicted?',
  models: ['lenet'],
  run: study,
  processCell: (quick) => processCellOf(scaleOf(quick), GRADIENTS),
}
