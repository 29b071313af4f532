/** What was tried to choose a rate. */
import type { TopLevelSpec } from 'vega-lite'
import { CHOICE_SEED, byAccuracy, byLoss } from '../../engine/study.ts'
import type { Cell } from '../../training/cell.ts'
import { AVERAGE, BEST, type Figures, curveOf } from '../figures.ts'
import type { Run } from '../results.ts'
import { type Comparison, axisOf, domainOf } from './parts.ts'
import type { Chart } from './render.ts'
import { REFERENCE, curveEncoding, inOrder } from './style.ts'

interface Row {
  readonly curve: string
  readonly workers: number
  readonly panel: string
  readonly rate: number
  readonly value: number
  readonly isChosen: boolean
}

/** One panel for each number of workers. None if nothing was tried. */
export function rateChart(figures: Figures, comparison: Comparison): Chart[] {
  const { model, optimizer, title, measure } = comparison
  const rows = rowsOf(figures, comparison)
  if (rows.length === 0) return []
  return [
    {
      name: `rates-${model}-${optimizer}`,
      title: `${title}: ${measure} over the learning rate, by operator and number of workers`,
      caption: 'Each point is one run that was made to choose a rate; a ring is the rate that was chosen, the dashed line the best rate of one worker. A run beyond the edge is drawn at the edge.', // prettier-ignore
      spec: specOf(rows, figures, comparison),
    },
  ]
}

function rowsOf(figures: Figures, comparison: Comparison): Row[] {
  const { model, optimizer } = comparison
  const best = figures.settings({ model, optimizer, part: BEST })
  const isChosen = (cell: Cell): boolean =>
    best.some((each) => each.workers === cell.workers && curveOf(each) === curveOf(cell) && each.rate === cell.rate)
  return figures.runs
    .filter(({ cell }) => cell.model === model && cell.optimizer === optimizer)
    .filter(({ cell }) => cell.split === 'validation' && cell.seed === CHOICE_SEED)
    .flatMap((run) => {
      const { workers, rate } = run.cell
      if (typeof workers !== 'number' || workers === 1) return []
      const panel = `${workers} workers`
      return [{ curve: curveOf(run.cell), workers, panel, rate, value: valueOf(comparison, run), isChosen: isChosen(run.cell) }] // prettier-ignore
    })
    .sort((a, b) => a.workers - b.workers)
}

const valueOf = ({ measure }: Comparison, { result }: Run): number =>
  (measure === 'loss' ? byLoss : byAccuracy).of(result)

function specOf(rows: readonly Row[], figures: Figures, comparison: Comparison): TopLevelSpec {
  const { model, optimizer, measure } = comparison
  const panels = [...new Set(rows.map(({ panel }) => panel))]
  const [one] = figures.settings({ model, optimizer, part: BEST, workers: 1, curve: AVERAGE })
  const domain = domainOf(rows.map(({ value }) => value), measure) // prettier-ignore
  const values = [...new Set(rows.map(({ rate }) => rate))].sort((a, b) => a - b)
  const curves = curveEncoding(inOrder(rows.map(({ curve }) => curve)))
  const axis = { title: 'learning rate', format: '.2~g', grid: false, values, labelOverlap: true }
  const place = {
    x: { field: 'rate', type: 'quantitative', scale: { type: 'log', base: 2, nice: false }, axis },
    y: { field: 'value', type: 'quantitative', scale: { domain, clamp: true, zero: false, nice: false }, axis: axisOf(measure, domain, `${measure} on held-out samples`) }, // prettier-ignore
    color: curves.color,
  } as const
  const reference = { mark: { type: 'rule', ...REFERENCE }, encoding: { x: { datum: one?.rate ?? NaN } } } as const
  return {
    data: { values: [...rows] },
    facet: { column: { field: 'panel', type: 'nominal', sort: panels, title: null } },
    spec: {
      width: Math.max(170, 560 / panels.length),
      height: 230,
      layer: [
        ...(Number.isFinite(one?.rate) ? [reference] : []),
        { mark: { type: 'line', opacity: 0.8 }, encoding: place },
        { mark: { type: 'point', size: 40 }, encoding: { ...place, shape: curves.shape } },
        {
          transform: [{ filter: 'datum.isChosen' }],
          mark: { type: 'point', filled: false, size: 190, strokeWidth: 2 },
          encoding: place,
        },
      ],
    },
  }
}
