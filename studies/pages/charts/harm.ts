/** What bad workers, and formats, cost each operator. */
import type { Setting } from '../../engine/study.ts'
import { NOISE, OPPOSITE } from '../answers/operators.ts'
import { BEST, type Figures, curveOf, isComplete, worseBy } from '../figures.ts'
import { type Bar, barOf, barSpec } from './bars.ts'
import type { Chart } from './render.ts'

const complete = (figures: Figures, model: string, part: string): Setting[] =>
  figures.settings({ model, part }).filter(isComplete)

/** By how much settings of some parts are worse than those of a first one, curve by curve. */
function costs(figures: Figures, model: string, first: string, groups: ReadonlyMap<string, string>): Bar[] {
  const begin = complete(figures, model, first)
  return [...groups].flatMap(([part, group]) =>
    complete(figures, model, part).flatMap((setting) => {
      const base = begin.find((each) => curveOf(each) === curveOf(setting) && each.workers === setting.workers)
      return base === undefined ? [] : [barOf(curveOf(setting), group, worseBy(base, setting))]
    }),
  )
}

/** Parts of the study, whose names say what is drawn. */
const BAD = new Map([NOISE, OPPOSITE].map((part) => [part, part]))

/** With and without a bad worker, and the difference. */
export function operatorsCharts(figures: Figures): Chart[] {
  return [
    { model: 'lenet', title: 'LeNet-5', measure: 'accuracy', format: '.0%' },
    { model: 'characters', title: 'the transformer under LAMB', measure: 'loss', format: '.2f' },
  ].flatMap(({ model, title, measure, format }): Chart[] => {
    const groups = new Map([[BEST, 'all workers are good'], ...BAD])
    const values = [...groups].flatMap(([part, group]) =>
      complete(figures, model, part).map((each) => barOf(curveOf(each), group, each.values)),
    )
    const lost = costs(figures, model, BEST, BAD)
    if (values.length === 0) return []
    const whole: Chart = {
      name: `${measure}-${model}`,
      title: `${title}: ${measure} of each operator with and without a bad worker`,
      caption:
        'Bars are means over seeds, at each operator’s best rate without a bad worker; lines are 95 % intervals.',
      spec: barSpec(values, { title: `${measure} on the test set`, format }, [...groups.values()]),
    }
    const difference: Chart = {
      name: `cost-${model}`,
      title: `${title}: what a bad worker costs each operator`,
      caption: 'The same as differences, seed by seed: what a bad worker costs.',
      spec: barSpec(lost, costAxis(measure), [...BAD.values()]),
    }
    return lost.length === 0 ? [whole] : [whole, difference]
  })
}

const costAxis = (measure: string): { title: string; format: string } =>
  measure === 'accuracy' ? { title: 'loss of accuracy', format: '.1%' } : { title: 'rise of the loss', format: '.2f' }

export function precisionCharts(figures: Figures): Chart[] {
  const formats = ['bf16', 'int8']
  const lost = costs(figures, 'lenet', 'f32', new Map(formats.map((format) => [format, format])))
  if (lost.length === 0) return []
  return [
    {
      name: 'cost',
      title: 'What an exchange in bf16 and in int8 costs each operator in accuracy',
      caption: 'Bars are means of differences to the exchange in f32, seed by seed; lines are 95 % intervals.',
      spec: barSpec(lost, { title: 'loss of accuracy', format: '.2%' }, formats),
    },
  ]
}
