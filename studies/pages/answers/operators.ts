/** What the study operators was expected to show, and what came out. */
import { meanOf, summarize } from '../../engine/statistics.ts'
import type { Setting } from '../../engine/study.ts'
import {
  ADACONS,
  ADASCALE,
  AVERAGE,
  AT_ONE,
  BEST,
  DELTAS,
  type Figures,
  GAF,
  GRADIENTS,
  curveOf,
  differenceText,
  meanText,
  minus,
  rateText,
  timesText,
  worseBy,
} from '../figures.ts'
import { type Prediction, intervalOf, verdictOf } from '../prediction.ts'
import type { Answer } from './answer.ts'

export const NOISE = 'one worker sends noise'
export const OPPOSITE = 'one worker sends the opposite'
const CURVES = [AVERAGE, DELTAS, GRADIENTS, ADASCALE, ADACONS, GAF]
type Model = 'lenet' | 'characters'

const settingAt = (figures: Figures, curve: string, part: string = BEST, model: Model = 'lenet'): Setting =>
  figures.setting({ model, curve, workers: 32, part })

/** By seed: how much worse a curve gets with a bad worker. */
const harmOf = (figures: Figures, curve: string, part: string, model: Model = 'lenet'): number[] =>
  worseBy(settingAt(figures, curve, BEST, model), settingAt(figures, curve, part, model))

export const predictions: readonly Prediction[] = [
  {
    number: 1,
    predicted: 'A rank that sends noise of the gradients’ length harms Adasum (of deltas) more than the average.',
    refutedIf: 'Adasum loses less accuracy than the average',
    judge: (figures) => noiseHarm(figures, 'lenet'),
  },
  {
    number: 2,
    predicted: 'A rank with the wrong sign harms Adasum (of deltas) less than the noise does.',
    refutedIf: 'it loses more',
    judge(figures) {
      const [noise, opposite] = [NOISE, OPPOSITE].map((part) => harmOf(figures, DELTAS, part)) as [number[], number[]]
      const { mean } = summarize(minus(noise, opposite))
      return {
        verdict: verdictOf({ held: mean > 0, refuted: mean < 0 }),
        figures: `noise costs ${differenceText(noise)}, the wrong sign ${differenceText(opposite)}`,
      }
    },
  },
  {
    number: 3,
    predicted: 'GAF withstands both, within 0.5 points of its own result without bad ranks.',
    refutedIf: 'it does not',
    judge(figures) {
      const [noise, opposite] = [NOISE, OPPOSITE].map((part) => harmOf(figures, GAF, part)) as [number[], number[]]
      const held = [noise, opposite].every((values) => Math.abs(meanOf(values)) <= 0.005)
      return {
        verdict: verdictOf({ held, refuted: !held }),
        figures: `noise costs ${differenceText(noise)}, the wrong sign ${differenceText(opposite)}`,
      }
    },
  },
  {
    number: 4,
    predicted: 'AdaCons behaves as the average as to its best rate.',
    refutedIf: 'its best rate is within a factor of 2 of one worker’s and more than a factor of 2 below the average’s',
    judge(figures) {
      const one = settingAt(figures, AVERAGE, AT_ONE)
      const [average, adacons] = [AVERAGE, ADACONS].map((curve) => settingAt(figures, curve)) as [Setting, Setting]
      const isWithin = (rate: number, other: number): boolean => rate >= other / 2 && rate <= 2 * other
      return {
        verdict: verdictOf({
          held: isWithin(adacons.rate, average.rate),
          refuted: isWithin(adacons.rate, one.rate) && adacons.rate < average.rate / 2,
        }),
        figures: `AdaCons ${rateText(adacons, one)}, average ${rateText(average, one)} of one worker’s rate`,
      }
    },
  },
  {
    number: 5,
    predicted:
      'On the transformer under LAMB, too, the noise harms Adasum of deltas more than the average, by the loss.',
    refutedIf: 'it harms it less',
    judge: (figures) => noiseHarm(figures, 'characters'),
  },
  {
    number: 6,
    predicted:
      'AdaCons and GAF are averages for LAMB: at their best rates the losses are within 0.02 of the average’s.',
    refutedIf: 'the interval of the difference lies beyond 0.02',
    judge(figures) {
      const average = settingAt(figures, AVERAGE, BEST, 'characters')
      const differences = [ADACONS, GAF].map((curve) => minus(settingAt(figures, curve, BEST, 'characters').values, average.values)) // prettier-ignore
      const intervals = differences.map(intervalOf)
      return {
        verdict: verdictOf({
          held: intervals.every(({ mean }) => Math.abs(mean) <= 0.02),
          refuted: intervals.some((each) => each.isAbove(0.02) || each.isBelow(-0.02)),
        }),
        figures: `less the average: ${differences.map((values, index) => `${['AdaCons', 'GAF'][index]} ${differenceText(values, 'loss')}`).join('; ')}`, // prettier-ignore
      }
    },
  },
]

function noiseHarm(figures: Figures, model: Model): ReturnType<Prediction['judge']> {
  const [average, adasum] = [AVERAGE, DELTAS].map((curve) => harmOf(figures, curve, NOISE, model)) as [number[], number[]] // prettier-ignore
  const { mean } = summarize(minus(adasum, average))
  const { measure } = settingAt(figures, AVERAGE, BEST, model)
  return {
    verdict: verdictOf({ held: mean > 0, refuted: mean < 0 }),
    figures: `noise costs the average ${differenceText(average, measure)}, Adasum ${differenceText(adasum, measure)}`,
  }
}

export const sentences: Answer['sentences'] = [
  (figures) => {
    const text = CURVES.map((curve) => `${curve} ${meanText(settingAt(figures, curve), 'accuracy')}`).join(', ')
    return `LeNet-5 with 32 good workers, each operator at its best rate: ${text}.`
  },
  (figures) => {
    const one = settingAt(figures, AVERAGE, AT_ONE)
    const text = CURVES.map((curve) => `${curve} ${timesText(settingAt(figures, curve).rate, one.rate)}`).join(', ')
    return `These best rates, as multiples of one worker’s: ${text}.`
  },
  ...[NOISE, OPPOSITE].map((part) => (figures: Figures) => {
    const curves = figures.all({ model: 'lenet', workers: 32, part }).map(curveOf)
    const text = curves.map((curve) => `${curve} ${differenceText(harmOf(figures, curve, part))}`).join(', ')
    return `If ${part}, this is lost: ${text}.`
  }),
  (figures) => {
    const text = [AVERAGE, DELTAS, ADASCALE, ADACONS, GAF]
      .map((curve) => `${curve} ${meanText(settingAt(figures, curve, BEST, 'characters'), 'loss')}`)
      .join(', ')
    return `Losses of the transformer under LAMB with 32 good workers: ${text}.`
  },
]
