/** How far combined steps are from the sequence that they stand for. */
import type { TopLevelSpec } from 'vega-lite'
import { type Figures, curveOf, isComplete } from '../figures.ts'
import { intervalRow } from './parts.ts'
import type { Chart } from './render.ts'
import { curveEncoding } from './style.ts'

const PART = /^([\d.]+) times one worker's rate, (.+)$/
/** A distance of so many lengths of the sequence is none that needs to be read off. */
const FARTHEST = 30

export function emulationCharts(figures: Figures): Chart[] {
  const rows = figures
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
        low: Math.max(row.low, row.mean / 10),
      }
    })
  if (rows.length === 0) return []
  const encoding = curveEncoding([...new Set(rows.map(({ curve }) => curve))])
  const nearest = Math.min(...rows.map(({ mean }) => mean))
  const x = { field: 'workers', type: 'quantitative', scale: { type: 'log', base: 2 } } as const
  const domain = [nearest / 1.2, 1.1 * Math.min(FARTHEST, Math.max(...rows.map(({ mean }) => mean)))]
  const y = {
    type: 'quantitative',
    title: 'distance / length of the sequence',
    scale: { type: 'log', domain, clamp: true, nice: false },
    axis: { format: '~g', tickCount: 5 },
  } as const
  const spec: TopLevelSpec = {
    data: { values: rows },
    facet: {
      column: { field: 'factor', type: 'nominal', title: null, sort: [...new Set(rows.map(({ factor }) => factor))] },
      row: { field: 'period', type: 'nominal', title: null, sort: ['first tenth', 'all of training'] },
    },
    spec: {
      width: 190,
      height: 190,
      layer: [
        { mark: 'line', encoding: { x: { ...x, axis: { grid: false, values: [2, 4, 8, 16, 32, 64] } }, y: { ...y, field: 'mean' }, color: encoding.color } }, // prettier-ignore
        { mark: 'rule', encoding: { x, y: { ...y, field: 'low' }, y2: { field: 'high' }, color: encoding.color } },
        { mark: 'point', encoding: { x, y: { ...y, field: 'mean' }, ...encoding } },
      ],
    },
  }
  return [
    {
      name: 'distance',
      title: 'Distance of one combined step from the sequence it stands for, over the number of workers, by operator',
      caption: 'A distance of 1 is as far as no step at all. Lines through the points are 95 % intervals over seeds; both axes are logarithmic.', // prettier-ignore
      spec,
    },
  ]
}
