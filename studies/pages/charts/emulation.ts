/** How far combined steps are from the sequence that they stand for. */
import type { TopLevelSpec } from 'vega-lite'
import { type Figures, curveOf, isComplete } from '../figures.ts'
import { type IntervalRow, intervalRow } from './parts.ts'
import type { Chart } from './render.ts'
import { curveEncoding, curveLayers, inOrder } from './style.ts'

const PART = /^([\d.]+) times one worker's rate, (.+)$/
/** A distance of so many lengths of the sequence is none that needs to be read off. */
const FARTHEST = 30

interface Row extends IntervalRow {
  readonly curve: string
  readonly workers: number
  readonly factor: string
  readonly period: string
}

export function emulationCharts(figures: Figures): Chart[] {
  const rows = rowsOf(figures)
  if (rows.length === 0) return []
  return [
    {
      name: 'distance',
      title: 'Distance of one combined step from the sequence it stands for, over the number of workers, by operator',
      caption: 'A distance of 1 is as far as no step at all. Lines through the points are 95 % intervals over seeds; both axes are logarithmic.', // prettier-ignore
      spec: specOf(rows),
    },
  ]
}

function rowsOf(figures: Figures): Row[] {
  return figures
    .settings({})
    .filter((setting) => setting.measure === 'distance' && isComplete(setting) && setting.mean > 0)
    .map((setting) => {
      const [, factor, period] = PART.exec(setting.part)!
      const row = intervalRow(setting)
      return {
        curve: curveOf(setting),
        workers: setting.workers as number,
        factor: `${factor} × one worker’s rate`,
        period: period!,
        ...row,
        // No logarithm has a place for an interval that reaches zero.
        low: Math.max(row.low, row.mean / 10),
      }
    })
}

function specOf(rows: readonly Row[]): TopLevelSpec {
  const encoding = curveEncoding(inOrder(rows.map(({ curve }) => curve)))
  const means = rows.map(({ mean }) => mean)
  const domain = [Math.min(...means) / 1.2, 1.1 * Math.min(FARTHEST, Math.max(...means))]
  const axis = { grid: false, values: [...new Set(rows.map(({ workers }) => workers))] }
  const x = { field: 'workers', type: 'quantitative', scale: { type: 'log', base: 2 }, axis } as const
  const y = {
    type: 'quantitative',
    title: 'distance / length of the sequence',
    scale: { type: 'log', domain, clamp: true, nice: false },
    axis: { format: '~g', tickCount: 5 },
  } as const
  return {
    data: { values: [...rows] },
    facet: {
      column: { field: 'factor', type: 'nominal', title: null, sort: [...new Set(rows.map(({ factor }) => factor))] },
      row: { field: 'period', type: 'nominal', title: null, sort: ['first tenth', 'all of training'] },
    },
    spec: {
      width: 190,
      height: 190,
      layer: [...curveLayers(x, y, encoding)],
    },
  }
}
