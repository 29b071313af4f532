/** What the study emulation was expected to show, and what came out. */
import { meanOf } from '../../engine/statistics.ts'
import type { Setting } from '../../engine/study.ts'
import { type Figures, Unfinished, differenceText, minus, numberText } from '../figures.ts'
import { type Prediction, verdictOf } from '../prediction.ts'
import type { Answer } from './answer.ts'

const WORKERS = [2, 4, 8, 16, 32, 64]
const OPS = ['sum', 'average', 'adasum', 'damped', 'adascale']
const FACTORS = [0.25, 1, 4]
type Period = 'first tenth' | 'all of training'

function distance(figures: Figures, factor: number, op: string, workers: number, period: Period): Setting {
  const part = `${factor} times one worker's rate, ${period}`
  return figures.setting({ part, curve: `${op} of gradients`, workers })
}

/** Mean distances by number of workers. */
const meansOf = (figures: Figures, factor: number, op: string, workers: readonly number[], period: Period): number[] =>
  workers.map((count) => distance(figures, factor, op, count, period).mean)

const listText = (values: readonly number[]): string => values.map((value) => numberText(value)).join(', ')

export const predictions: readonly Prediction[] = [
  {
    number: 1,
    predicted: 'At a quarter of one worker’s rate the sum is nearest to the sequence, and Adasum is nearer than the average.', // prettier-ignore
    refutedIf: 'the average is nearer than Adasum at that rate, at any number of workers',
    judge(figures) {
      const [sum, average, adasum] = ['sum', 'average', 'adasum'].map((op) =>
        meansOf(figures, 0.25, op, WORKERS, 'all of training'),
      ) as [number[], number[], number[]]
      return {
        verdict: verdictOf({
          held: adasum.every((value, index) => sum[index]! <= value && value < average[index]!),
          refuted: adasum.some((value, index) => average[index]! < value),
        }),
        figures: `at ${WORKERS.join(', ')} workers: sum ${listText(sum)}; average ${listText(average)}; Adasum ${listText(adasum)}`, // prettier-ignore
      }
    },
  },
  {
    number: 2,
    predicted:
      'At one worker’s rate Adasum is nearer than both for 8 and more workers, in the first tenth of training.',
    refutedIf: 'the sum or the average is nearer there',
    judge(figures) {
      const workers = WORKERS.filter((count) => count >= 8)
      const [sum, average, adasum] = ['sum', 'average', 'adasum'].map((op) =>
        meansOf(figures, 1, op, workers, 'first tenth'),
      ) as [number[], number[], number[]]
      return {
        verdict: verdictOf({
          held: adasum.every((value, index) => value < Math.min(sum[index]!, average[index]!)),
          refuted: adasum.some((value, index) => value > Math.min(sum[index]!, average[index]!)),
        }),
        figures: `at ${workers.join(', ')} workers: sum ${listText(sum)}; average ${listText(average)}; Adasum ${listText(adasum)}`, // prettier-ignore
      }
    },
  },
  {
    number: 3,
    predicted: 'The distance grows with n for every operator, relative to the length of the sequence.',
    refutedIf: 'Adasum’s falls from 8 to 64 workers, at any of the three rates',
    judge(figures) {
      const growths = FACTORS.map((factor) =>
        OPS.map((op) => {
          const [few, many] = meansOf(figures, factor, op, [8, 64], 'all of training') as [number, number]
          return many - few
        }),
      )
      const ofAdasum = growths.map((all) => all[OPS.indexOf('adasum')]!)
      return {
        verdict: verdictOf({
          held: growths.flat().every((growth) => growth > 0),
          refuted: ofAdasum.some((growth) => growth < 0),
        }),
        figures: FACTORS.map((factor, index) => `at ${factor} times the rate ${OPS.map((op, at) => `${op} ${numberText(growths[index]![at]!)}`).join(', ')}`).join('; '), // prettier-ignore
      }
    },
  },
]

/** The operator that is nearest at each number of workers. */
function nearest(figures: Figures, factor: number): string[] {
  return WORKERS.map((workers) => {
    const means = OPS.map((op) => distance(figures, factor, op, workers, 'all of training').mean)
    if (means.some(Number.isNaN)) throw new Unfinished('distances')
    return OPS[means.indexOf(Math.min(...means))]!
  })
}

export const sentences: Answer['sentences'] = [
  ...FACTORS.map((factor) => (figures: Figures) => {
    const names = nearest(figures, factor)
    const list = WORKERS.map((workers, index) => `${names[index]} at ${workers}`).join(', ')
    return `At ${factor} times one worker’s rate the operators nearest to the sequence, by number of workers, are: ${list}.` // prettier-ignore
  }),
  (figures) => {
    const far = (op: string): string => numberText(distance(figures, 1, op, 32, 'all of training').mean)
    const [average, adasum] = ['average', 'adasum'].map((op) => distance(figures, 1, op, 32, 'all of training').values) as [number[], number[]] // prettier-ignore
    return `With 32 workers at one worker’s rate the distance is ${far('sum')} of the sequence’s length for the sum, ${far('average')} for the average and ${far('adasum')} for Adasum; the average is farther than Adasum by ${differenceText(minus(average, adasum), 'distance')}.` // prettier-ignore
  },
  (figures) => {
    const early = meanOf(distance(figures, 1, 'adasum', 32, 'first tenth').values)
    const all = distance(figures, 1, 'adasum', 32, 'all of training').mean
    return `For Adasum that distance is ${numberText(early)} in the first tenth of training, and ${numberText(all)} over all of it.` // prettier-ignore
  },
]
