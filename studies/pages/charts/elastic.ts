/** The loss over the steps while the number of workers changes. */
import type { TopLevelSpec } from 'vega-lite'
import { phasesOf } from '../../training/cell.ts'
import { type Figures, curveOf, isComplete } from '../figures.ts'
import { domainOf } from './parts.ts'
import type { Chart } from './render.ts'
import type { Run } from '../results.ts'
import { INK, REFERENCE, curveEncoding, inOrder } from './style.ts'

/** Steps on both sides that a point of a line is the mean of, and steps from point to point. */
const [SMOOTHED, STRIDE] = [5, 3]

const OWN = 'each at the best rate of its first number of workers'

interface Point {
  readonly curve: string
  readonly panel: string
  readonly step: number
  readonly loss: number
}

/** Where a number of workers begins. */
interface Begin {
  readonly panel: string
  readonly begin: number
  readonly text: string
}

export function elasticCharts(figures: Figures): Chart[] {
  const points = pointsOf(figures)
  const changing = figures.runs.find(({ cell }) => cell.keepsLosses === true)
  if (points.length === 0 || changing === undefined) return []
  const begins = [...new Set(points.map(({ panel }) => panel))].flatMap((panel) => beginsOf(changing, panel))
  return [
    {
      name: 'loss',
      title: 'The loss over the steps while the number of workers changes, by operator',
      caption: `Each line is the mean of all seeds and of ${2 * SMOOTHED + 1} steps; it ends where a run diverges. Dashed lines are where the number of workers changes.`, // prettier-ignore
      spec: specOf(points, begins),
    },
  ]
}

function pointsOf(figures: Figures): Point[] {
  return figures
    .settings({})
    .filter(isComplete)
    .flatMap((setting) => {
      const curve = curveOf(setting)
      const runs = figures.runs.filter(
        ({ cell, result }) => cell.rate === setting.rate && curveOf(cell) === curve && result.losses !== undefined,
      )
      const panel = setting.part.startsWith('best rate') ? OWN : 'at the best rate of one worker'
      return smoothed(runs).map((point) => ({ curve, panel, ...point }))
    })
}

function beginsOf({ cell }: Run, panel: string): Begin[] {
  let begin = 0
  return phasesOf(cell).map(({ workers, steps }) => {
    const phase = { panel, begin, text: `${workers} workers` }
    begin += steps
    return phase
  })
}

function specOf(points: readonly Point[], begins: readonly Begin[]): TopLevelSpec {
  const domain = domainOf(points.map(({ loss }) => loss), 'loss') // prettier-ignore
  const scale = { domain, clamp: true, zero: false, nice: false }
  const color = curveEncoding(inOrder(points.map(({ curve }) => curve))).color
  return {
    data: { values: [...points, ...begins] },
    facet: { row: { field: 'panel', type: 'nominal', title: null, sort: [OWN], header: { orient: 'top' } } },
    spec: {
      width: 620,
      height: 230,
      layer: [
        {
          transform: [{ filter: 'isValid(datum.begin) && datum.begin > 0' }],
          mark: { type: 'rule', ...REFERENCE },
          encoding: { x: { field: 'begin', type: 'quantitative' } },
        },
        {
          transform: [{ filter: 'isValid(datum.text)' }],
          mark: { type: 'text', color: INK, align: 'left', dx: 4, baseline: 'top' },
          encoding: { x: { field: 'begin', type: 'quantitative' }, y: { value: 2 }, text: { field: 'text' } },
        },
        {
          transform: [{ filter: 'isValid(datum.step)' }],
          mark: { type: 'line', clip: true },
          encoding: {
            x: { field: 'step', type: 'quantitative', axis: { title: 'step', grid: false } },
            y: { field: 'loss', type: 'quantitative', title: 'loss of the training batches', scale },
            color,
          },
        },
      ],
    },
  }
}

/** Means over the runs, as far as all of them came, and over neighbouring steps. */
function smoothed(runs: readonly Run[]): { step: number; loss: number }[] {
  const losses = runs.map(({ result }) => (result.losses ?? []).filter(Number.isFinite))
  const length = losses.length === 0 ? 0 : Math.min(...losses.map((each) => each.length))
  const means = Array.from({ length }, (_, step) => losses.reduce((sum, each) => sum + each[step]!, 0) / losses.length)
  return means.flatMap((_, step) => {
    if (step % STRIDE !== 0) return []
    const around = means.slice(Math.max(0, step - SMOOTHED), step + SMOOTHED + 1)
    return [{ step, loss: around.reduce((sum, loss) => sum + loss, 0) / around.length }]
  })
}
