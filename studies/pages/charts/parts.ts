/** Charts that several studies have. */
import type { TopLevelSpec } from 'vega-lite'
import { CHOICE_SEED, type Setting } from '../../engine/study.ts'
import type { Cell } from '../../training/cell.ts'
import { AT_ONE, AVERAGE, BEST, type Figures, curveOf, isComplete } from '../figures.ts'
import type { Run } from '../results.ts'
import type { Chart } from './render.ts'
import { REFERENCE, curveEncoding, inOrder } from './style.ts'

/** A comparison of operators on one model, with one optimizer. */
export interface Comparison {
  readonly model: string
  readonly optimizer: string
  /** In words, such as "LeNet-5 with momentum". */
  readonly title: string
  readonly measure: 'accuracy' | 'loss'
}

const isLoss = ({ measure }: Comparison): boolean => measure === 'loss'

/** Worse than the best by more is not worth the room; it is drawn at the edge. */
const SPAN = { accuracy: 0.15, loss: 1 }

/** From the best value to the worst, or to `SPAN` from the best. */
export function domainOf(values: readonly number[], measure: Comparison['measure']): [number, number] {
  const known = values.filter(Number.isFinite)
  const [low, high] = [Math.min(...known), Math.max(...known)]
  const margin = 0.05 * Math.min(high - low, SPAN[measure]) + 1e-3
  return measure === 'loss'
    ? [low - margin, Math.min(high, low + SPAN.loss) + margin]
    : [Math.max(low, high - SPAN.accuracy) - margin, Math.min(1, high + margin)]
}

const axisOf = (comparison: Comparison, title: string): object => ({
  title,
  ...(isLoss(comparison) ? { format: '.2f' } : { format: '.0%' }),
})

const valueOf = ({ measure }: Comparison, { result }: Run): number =>
  measure === 'loss' ? (result.loss ?? -Math.log(result.accuracy)) : result.accuracy

const numbersOf = (workers: Iterable<Cell['workers']>): number[] =>
  [...new Set(workers)].filter((each) => typeof each === 'number').sort((a, b) => a - b)

/** What was tried to choose a rate: one panel for each number of workers. None if nothing was. */
export function rateChart(figures: Figures, comparison: Comparison): Chart[] {
  const { model, optimizer, title, measure } = comparison
  const tried = figures.runs.filter(
    ({ cell }) =>
      cell.model === model &&
      cell.optimizer === optimizer &&
      cell.split === 'validation' &&
      cell.seed === CHOICE_SEED &&
      cell.workers !== 1,
  )
  const workers = numbersOf(tried.map(({ cell }) => cell.workers))
  if (workers.length === 0) return []
  const chosen = figures.settings({ model, optimizer, part: BEST })
  const rows = tried.map((run) => ({
    curve: curveOf(run.cell),
    panel: panelOf(run.cell.workers as number),
    rate: run.cell.rate,
    value: valueOf(comparison, run),
    isChosen: chosen.some(
      (each) => each.workers === run.cell.workers && curveOf(each) === curveOf(run.cell) && each.rate === run.cell.rate,
    ),
  }))
  const [one] = figures.settings({ model, optimizer, part: BEST, workers: 1, curve: AVERAGE })
  const domain = domainOf(rows.map(({ value }) => value), measure) // prettier-ignore
  const rates = [...new Set(rows.map(({ rate }) => rate))].sort((a, b) => a - b)
  const y = { field: 'value', type: 'quantitative', scale: { domain, clamp: true, zero: false, nice: false } } as const
  const x = { field: 'rate', type: 'quantitative', scale: { type: 'log', base: 2, nice: false } } as const
  const curves = curveEncoding(inOrder(rows.map(({ curve }) => curve)))
  const encoding = {
    x: { ...x, axis: { title: 'learning rate', format: '.2~g', grid: false, values: rates, labelOverlap: true } },
    y: { ...y, axis: axisOf(comparison, `${measure} on held-out samples`) },
    ...curves,
  }
  const spec: TopLevelSpec = {
    data: { values: rows },
    facet: { column: { field: 'panel', type: 'nominal', sort: workers.map(panelOf), title: null } },
    spec: {
      width: Math.max(170, 560 / workers.length),
      height: 230,
      layer: [
        ...(one && Number.isFinite(one.rate)
          ? [{ mark: { type: 'rule', ...REFERENCE }, encoding: { x: { datum: one.rate } } } as const]
          : []),
        { mark: { type: 'line', opacity: 0.8 }, encoding: { x: encoding.x, y: encoding.y, color: encoding.color } },
        { mark: { type: 'point', size: 40 }, encoding },
        {
          transform: [{ filter: 'datum.isChosen' }],
          mark: { type: 'point', filled: false, size: 190, strokeWidth: 2 },
          encoding: { x: encoding.x, y: encoding.y, color: encoding.color },
        },
      ],
    },
  }
  return [
    {
      name: `rates-${model}-${optimizer}`,
      title: `${title}: ${measure} over the learning rate, by operator and number of workers`,
      caption: 'Each point is one run that was made to choose a rate; a ring is the rate that was chosen, the dashed line the best rate of one worker. A run beyond the edge is drawn at the edge.', // prettier-ignore
      spec,
    },
  ]
}

const panelOf = (workers: number): string => `${workers} workers`

export interface IntervalRow {
  readonly mean: number
  readonly low: number
  readonly high: number
}

/** A setting's mean and interval. */
export function intervalRow({ mean, interval }: Pick<Setting, 'mean' | 'interval'>): IntervalRow {
  return { mean, low: interval?.[0] ?? mean, high: interval?.[1] ?? mean }
}

/** What final runs come to at the best rates and at one worker's, over the number of workers. None if nothing is there. */
export function workersChart(figures: Figures, comparison: Comparison): Chart[] {
  const { model, optimizer, title, measure } = comparison
  const settings = [BEST, AT_ONE].flatMap((part) =>
    figures.settings({ model, optimizer, part }).filter((each) => isComplete(each) && typeof each.workers === 'number'),
  )
  const many = settings.filter(({ workers }) => workers !== 1)
  if (many.length === 0) return []
  const one = settings.find(({ workers }) => workers === 1)
  const rows = many.map((setting) => ({
    curve: curveOf(setting),
    panel: setting.part === BEST ? 'each at its best rate' : 'at the best rate of one worker',
    workers: setting.workers as number,
    ...intervalRow(setting),
  }))
  const domain = domainOf([...rows.flatMap(({ low, high }) => [low, high]), ...(one ? [one.mean] : [])], measure)
  const scale = { domain, clamp: true, zero: false, nice: false } as const
  const curves = inOrder(rows.map(({ curve }) => curve))
  const encoding = curveEncoding(curves)
  const x = {
    x: { field: 'workers', type: 'ordinal', axis: { title: 'workers', labelAngle: 0 } },
    xOffset: { field: 'curve', type: 'nominal', scale: { domain: curves } },
  } as const
  const spec: TopLevelSpec = {
    data: { values: rows },
    facet: { column: { field: 'panel', type: 'nominal', title: null, sort: ['each at its best rate'] } },
    spec: {
      width: 290,
      height: 230,
      layer: [
        ...(one ? [{ mark: { type: 'rule', ...REFERENCE }, encoding: { y: { datum: one.mean } } } as const] : []),
        {
          mark: { type: 'rule' },
          encoding: {
            ...x,
            y: { field: 'low', type: 'quantitative', scale, axis: axisOf(comparison, `${measure} on the test set`) },
            y2: { field: 'high' },
            color: encoding.color,
          },
        },
        {
          mark: { type: 'point' },
          encoding: { ...x, y: { field: 'mean', type: 'quantitative', scale }, ...encoding },
        },
      ],
    },
  }
  return [
    {
      name: `${measure}-${model}-${optimizer}`,
      title: `${title}: ${measure} over the number of workers, by operator`,
      caption: 'Points are means of final runs over seeds, lines their 95 % intervals, and the dashed line is one worker at its best rate. What lies beyond the edge is drawn at the edge.', // prettier-ignore
      spec,
    },
  ]
}
