/** Charts of the studies that tune operators for several numbers of workers: largest-batch, transformer, plain. */
import type { TopLevelSpec } from 'vega-lite'
import type { Setting } from '../../engine/study.ts'
import { AVERAGE, BEST, type Figures, curveOf, isComplete } from '../figures.ts'
import { type Comparison, type IntervalRow, domainOf, intervalRow } from './parts.ts'
import { rateChart } from './rates.ts'
import type { Chart } from './render.ts'
import { REFERENCE, curveEncoding, curveLayers, inOrder } from './style.ts'
import { workersChart } from './workers.ts'

const LENET: Comparison = {
  ...{ model: 'lenet', optimizer: 'momentum', title: 'LeNet-5 on Fashion-MNIST with momentum', measure: 'accuracy' },
}
const ADAM: Comparison = { model: 'lenet', optimizer: 'adam', title: 'LeNet-5 on MNIST with Adam', measure: 'accuracy' }
const RESIDUAL: Comparison = {
  ...{ model: 'residual', optimizer: 'momentum', measure: 'accuracy' },
  title: 'the residual network on Fashion-MNIST with momentum',
}
const PLAIN: Comparison = {
  ...{ model: 'plain', optimizer: 'momentum', title: 'a small network on made-up points', measure: 'accuracy' },
}
const LAMB: Comparison = { model: 'characters', optimizer: 'lamb', title: 'the transformer with LAMB', measure: 'loss' }
const CHARACTERS_ADAM: Comparison = {
  ...{ model: 'characters', optimizer: 'adam', title: 'the transformer with Adam', measure: 'loss' },
}

const bothCharts = (figures: Figures, comparison: Comparison): Chart[] => [
  ...workersChart(figures, comparison),
  ...rateChart(figures, comparison),
]

export const largestBatchCharts = (figures: Figures): Chart[] =>
  [LENET, RESIDUAL, ADAM].flatMap((each) => bothCharts(figures, each))

export const plainCharts = (figures: Figures): Chart[] => bothCharts(figures, PLAIN)

export const transformerCharts = (figures: Figures): Chart[] => [
  ...[LAMB, CHARACTERS_ADAM].flatMap((each) => bothCharts(figures, each)),
  ...shareChart(figures),
]

/** Losses in shares of the steps, at the most workers. */
function shareChart(figures: Figures): Chart[] {
  const rows = [LAMB, CHARACTERS_ADAM].flatMap((comparison) => shareRows(figures, comparison))
  if (rows.length === 0) return []
  return [
    {
      name: 'shares',
      title: 'The loss of the transformer over the share of the steps, by operator',
      caption: 'Each point is a schedule of its own that is over after so many steps, at the rate that is best for all of them, with 95 % intervals; the dashed line is the loss of the average in all of the steps.', // prettier-ignore
      spec: shareSpec(rows),
    },
  ]
}

interface ShareRow extends IntervalRow {
  readonly panel: string
  readonly curve: string
  readonly share: number
  /** That of the average of gradients in all of the steps. */
  readonly average: number | null
}

function shareRows(figures: Figures, { model, optimizer }: Comparison): ShareRow[] {
  const all = figures.settings({ model, optimizer }).filter(isComplete)
  const short = all.filter(({ part }) => part.endsWith(' of the steps'))
  const isLike = (one: Setting, other: Setting): boolean =>
    curveOf(one) === curveOf(other) && one.workers === other.workers
  const whole = all.filter((each) => each.part === BEST && short.some((other) => isLike(each, other)))
  return [...whole, ...short].map((setting) => ({
    panel: optimizer === 'lamb' ? 'LAMB' : 'Adam',
    curve: curveOf(setting),
    share: setting.part === BEST ? 1 : Number.parseFloat(setting.part),
    average: whole.find((each) => curveOf(each) === AVERAGE)?.mean ?? null,
    ...intervalRow(setting),
  }))
}

function shareSpec(rows: readonly ShareRow[]): TopLevelSpec {
  const domain = domainOf(rows.map(({ mean }) => mean), 'loss', rows.flatMap(({ low, high }) => [low, high])) // prettier-ignore
  const axis = { title: 'share of the steps', format: '.0%', grid: false }
  const x = { field: 'share', type: 'quantitative', scale: { zero: false }, axis } as const
  const y = {
    type: 'quantitative',
    scale: { domain, clamp: true, nice: false },
    title: 'loss on the test set',
  } as const
  const encoding = curveEncoding(inOrder(rows.map(({ curve }) => curve)))
  return {
    data: { values: [...rows] },
    facet: { column: { field: 'panel', type: 'nominal', sort: ['LAMB', 'Adam'], title: null } },
    spec: {
      width: 290,
      height: 230,
      layer: [
        { mark: { type: 'rule', ...REFERENCE }, encoding: { y: { ...y, field: 'average', aggregate: 'min' } } },
        ...curveLayers(x, y, encoding),
      ],
    },
  }
}
