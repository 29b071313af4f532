/** What the study precision was expected to show, and what came out. */
import type { Setting } from '../../engine/study.ts'
import { AVERAGE, DELTAS, type Figures, curveOf, differenceText, meanText, minus, worseBy } from '../figures.ts'
import { type Prediction, intervalOf, verdictOf } from '../prediction.ts'
import type { Answer } from './answer.ts'

const FORMATS = ['bf16', 'int8']

/** Those that the study has. */
const curvesOf = (figures: Figures): string[] => figures.all({ part: 'f32', workers: 8 }).map(curveOf)

const settingAt = (figures: Figures, curve: string, part: string): Setting =>
  figures.setting({ curve, workers: 8, part })

/** By seed. */
const lossOf = (figures: Figures, curve: string, format: string): number[] =>
  worseBy(settingAt(figures, curve, 'f32'), settingAt(figures, curve, format))

export const predictions: readonly Prediction[] = [
  {
    number: 1,
    predicted: 'bf16 and int8 cost less than 0.3 points with every operator at 8 workers.',
    refutedIf: 'the interval of a loss lies beyond that',
    judge(figures) {
      const losses = curvesOf(figures).flatMap((curve) =>
        FORMATS.map((format) => ({ name: `${curve}, ${format}`, values: lossOf(figures, curve, format) })),
      )
      const intervals = losses.map(({ values }) => intervalOf(values))
      return {
        verdict: verdictOf({
          held: intervals.every(({ mean }) => mean < 0.003),
          refuted: intervals.some((each) => each.isAbove(0.003)),
        }),
        figures: losses.map(({ name, values }) => `${name}: ${differenceText(values)}`).join('; '),
      }
    },
  },
  {
    number: 2,
    predicted: 'Adasum (of deltas) is no more sensitive than the average.',
    refutedIf: 'the difference of the losses of accuracy excludes zero on the wrong side',
    judge(figures) {
      const more = FORMATS.map((format) => minus(lossOf(figures, DELTAS, format), lossOf(figures, AVERAGE, format)))
      const intervals = more.map(intervalOf)
      const refuted = intervals.some((each) => each.isAbove(0))
      return {
        verdict: verdictOf({ held: intervals.every(({ isKnown }) => isKnown) && !refuted, refuted }),
        figures: `Adasum loses more by: ${FORMATS.map((format, index) => `${format} ${differenceText(more[index]!)}`).join('; ')}`, // prettier-ignore
      }
    },
  },
]

export const sentences: Answer['sentences'] = [
  (figures) => {
    const text = curvesOf(figures)
      .map((curve) => `${curve} ${meanText(settingAt(figures, curve, 'f32'), 'accuracy')}`)
      .join(', ')
    return `Without a format 8 workers come to these accuracies: ${text}.`
  },
  ...FORMATS.map((format) => (figures: Figures) => {
    const text = curvesOf(figures)
      .map((curve) => `${curve} ${differenceText(lossOf(figures, curve, format))}`)
      .join(', ')
    return `An exchange in ${format} costs: ${text}.`
  }),
]
