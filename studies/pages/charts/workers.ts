/** What final runs come to, over the number of workers. */
import type { TopLevelSpec } from 'vega-lite'
import type { Setting } from '../../engine/study.ts'
import { AT_ONE, BEST, type Figures, curveOf, isComplete } from '../figures.ts'
import { type Comparison, axisOf, domainOf, intervalRow } from './parts.ts'
import type { Chart } from './render.ts'
import { REFERENCE, curveEncoding, inOrder } from './style.ts'

const PANELS = new Map([
  [BEST, 'each at its best rate'],
  [AT_ONE, 'at the best rate of one worker'],
])

/** At the best rates and at one worker's. None if nothing is there. */
export function workersChart(figures: Figures, comparison: Comparison): Chart[] {
  const { model, optimizer, title, measure } = comparison
  const settings = [...PANELS.keys()].flatMap((part) => figures.settings({ model, optimizer, part }).filter(isComplete))
  const many = settings.filter(({ workers }) => workers !== 1)
  if (many.length === 0) return []
  const one = settings.find(({ workers }) => workers === 1)
  return [
    {
      name: `${measure}-${model}-${optimizer}`,
      title: `${title}: ${measure} over the number of workers, by operator`,
      caption: 'Points are means of final runs over seeds, lines their 95 % intervals, and the dashed line is one worker at its best rate. What lies beyond the edge is drawn at the edge.', // prettier-ignore
      spec: specOf(many, one, measure),
    },
  ]
}

function specOf(settings: readonly Setting[], one: Setting | undefined, measure: Comparison['measure']): TopLevelSpec {
  const rows = settings.map((setting) => ({
    ...{ curve: curveOf(setting), panel: PANELS.get(setting.part)!, workers: setting.workers as number },
    ...intervalRow(setting),
  }))
  const domain = domainOf(
    [...rows.map(({ mean }) => mean), ...(one ? [one.mean] : [])],
    measure,
    rows.flatMap(({ low, high }) => [low, high]),
  )
  const y = { type: 'quantitative', scale: { domain, clamp: true, zero: false, nice: false } } as const
  const curves = inOrder(rows.map(({ curve }) => curve))
  const { color, shape } = curveEncoding(curves)
  const x = {
    x: { field: 'workers', type: 'ordinal', axis: { title: 'workers', labelAngle: 0 } },
    xOffset: { field: 'curve', type: 'nominal', scale: { domain: curves } },
  } as const
  const low = { ...y, field: 'low', axis: axisOf(measure, domain, `${measure} on the test set`) }
  return {
    data: { values: rows },
    facet: { column: { field: 'panel', type: 'nominal', title: null, sort: [...PANELS.values()] } },
    spec: {
      width: 290,
      height: 230,
      layer: [
        ...(one ? [{ mark: { type: 'rule', ...REFERENCE }, encoding: { y: { datum: one.mean } } } as const] : []),
        { mark: { type: 'rule' }, encoding: { ...x, y: low, y2: { field: 'high' }, color } },
        { mark: { type: 'point' }, encoding: { ...x, y: { ...y, field: 'mean' }, color, shape } },
      ],
    },
  }
}
