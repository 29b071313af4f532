/** Charts of the studies that tune operators for several numbers of workers: largest-batch, transformer, plain. */
import type { TopLevelSpec } from 'vega-lite'
import { AVERAGE, BEST, type Figures, curveOf, isComplete } from '../figures.ts'
import { type Comparison, domainOf, intervalRow, rateChart, workersChart } from './parts.ts'
import type { Chart } from './render.ts'
import { REFERENCE, curveEncoding, inOrder } from './style.ts'

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
  const panels = [LAMB, CHARACTERS_ADAM].flatMap(({ optimizer }) => {
    const all = figures.settings({ model: 'characters', optimizer }).filter(isComplete)
    const short = all.filter(({ part }) => part.endsWith(' of the steps'))
    const whole = all.filter((each) => each.part === BEST && short.some((other) => isLike(each, other)))
    return [...whole, ...short].map((setting) => ({
      panel: optimizer === 'lamb' ? 'LAMB' : 'Adam',
      curve: curveOf(setting),
      share: setting.part === BEST ? 1 : Number.parseFloat(setting.part),
      average: whole.find((each) => curveOf(each) === AVERAGE)?.mean ?? null,
      ...intervalRow(setting),
    }))
  })
  if (panels.length === 0) return []
  const domain = domainOf(panels.flatMap(({ low, high }) => [low, high]), 'loss') // prettier-ignore
  const encoding = curveEncoding(inOrder(panels.map(({ curve }) => curve)))
  const x = {
    field: 'share',
    type: 'quantitative',
    scale: { zero: false },
    axis: { format: '.0%', grid: false },
  } as const
  const y = {
    type: 'quantitative',
    scale: { domain, clamp: true, nice: false },
    title: 'loss on the test set',
  } as const
  const spec: TopLevelSpec = {
    data: { values: panels },
    facet: { column: { field: 'panel', type: 'nominal', sort: ['LAMB', 'Adam'], title: null } },
    spec: {
      width: 290,
      height: 230,
      layer: [
        {
          mark: { type: 'rule', ...REFERENCE },
          encoding: { y: { ...y, field: 'average', aggregate: 'min' } },
        },
        { mark: 'line', encoding: { x: { ...x, title: 'share of the steps' }, y: { ...y, field: 'mean' }, color: encoding.color } }, // prettier-ignore
        { mark: 'rule', encoding: { x, y: { ...y, field: 'low' }, y2: { field: 'high' }, color: encoding.color } },
        { mark: 'point', encoding: { x, y: { ...y, field: 'mean' }, ...encoding } },
      ],
    },
  }
  return [
    {
      name: 'shares',
      title: 'The loss of the transformer over the share of the steps, by operator',
      caption: 'Each point is a schedule of its own that is over after so many steps, at the rate that is best for all of them, with 95 % intervals; the dashed line is the loss of the average in all of the steps.', // prettier-ignore
      spec,
    },
  ]
}

const isLike = (one: { op: string; of: string; workers: unknown }, other: typeof one): boolean =>
  one.op === other.op && one.of === other.of && one.workers === other.workers
