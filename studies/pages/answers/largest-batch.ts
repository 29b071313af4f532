/** What the study largest-batch was expected to show, and what came out. */
import { meanOf } from '../../engine/statistics.ts'
import type { Setting } from '../../engine/study.ts'
import {
  ADASCALE,
  AT_ONE,
  AVERAGE,
  BEST,
  DAMPED,
  DELTAS,
  type Figures,
  GRADIENTS,
  curveOf,
  differenceText,
  meanText,
  minus,
  numberText,
  rateText,
  worseBy,
} from '../figures.ts'
import { type Prediction, intervalOf, verdictOf } from '../prediction.ts'
import { type Answer, compared } from './answer.ts'

const LENET = { model: 'lenet', optimizer: 'momentum' }
const RESIDUAL = { model: 'residual', optimizer: 'momentum' }
const WORKERS = [8, 32, 128]
/** Half a point, and a point. */
const [HALF, WHOLE] = [0.005, 0.01]

type Task = typeof LENET

const settingAt = (
  figures: Figures,
  curve: string,
  workers: number,
  part: string = BEST,
  task: Task = LENET,
): Setting => figures.setting({ ...task, curve, workers, part })

const oneOf = (figures: Figures, task: Task = LENET): Setting => settingAt(figures, AVERAGE, 1, BEST, task)

/** By seed: what a curve loses if one worker's rate is taken in place of its best one. */
function regretOf(figures: Figures, curve: string, workers: number, task: Task = LENET): number[] {
  return worseBy(settingAt(figures, curve, workers, BEST, task), settingAt(figures, curve, workers, AT_ONE, task))
}

/** Weights at the end, by seed: of the final runs like a setting's, with so many workers. */
function hashesOf(figures: Figures, { model, optimizer, op, of, rate }: Setting, workers: number): Map<number, string> {
  const like = figures.runs.filter(
    ({ cell }) =>
      cell.split === 'test' &&
      cell.workers === workers &&
      [cell.model === model, cell.optimizer === optimizer, cell.op === op, cell.of === of].every(Boolean) &&
      cell.rate === rate,
  )
  return new Map(like.map(({ cell, result }) => [cell.seed, result.sha256]))
}

const isNearOne = (rate: number, one: number): boolean => rate >= one / 4 && rate <= 2 * one

export const predictions: readonly Prediction[] = [
  {
    number: 1,
    predicted: 'From 8 to 128 workers the best rate of the average grows at least twofold; that of Adasum of deltas stays between a quarter of one worker’s and twice it.', // prettier-ignore
    refutedIf: 'Adasum’s leaves that range at any n, or the average’s does not grow',
    judge(figures) {
      const one = oneOf(figures)
      const averages = WORKERS.map((workers) => settingAt(figures, AVERAGE, workers))
      const adasums = WORKERS.map((workers) => settingAt(figures, DELTAS, workers))
      const growth = averages.at(-1)!.rate / averages[0]!.rate
      const stays = adasums.every(({ rate }) => isNearOne(rate, one.rate))
      const rates = (all: readonly Setting[]): string => all.map((each) => rateText(each, one)).join(', ')
      return {
        verdict: verdictOf({ held: growth >= 2 && stays, refuted: growth <= 1 || !stays }),
        figures: `average ${rates(averages)}; Adasum of deltas ${rates(adasums)} of one worker’s rate at 8, 32, 128`,
      }
    },
  },
  {
    number: 2,
    predicted: 'At 32 workers the regret of Adasum of deltas at one worker’s rate is below 1 point, and smaller than the average’s.', // prettier-ignore
    refutedIf: 'the interval of the difference of the two regrets contains zero or lies on the other side',
    judge(figures) {
      const [average, adasum] = [AVERAGE, DELTAS].map((curve) => regretOf(figures, curve, 32)) as [number[], number[]]
      const difference = minus(average, adasum)
      const { isKnown, isAbove } = intervalOf(difference)
      return {
        verdict: verdictOf({
          held: isAbove(0) && meanOf(adasum) < WHOLE,
          refuted: isKnown && !isAbove(0),
        }),
        figures: `average ${differenceText(average)}, Adasum ${differenceText(adasum)}; difference ${differenceText(difference)}`,
      }
    },
  },
  {
    number: 3,
    predicted: 'At 8 and 32 workers the best average and the best Adasum (of deltas) lie within 0.5 points.',
    refutedIf: 'the interval of the difference lies beyond 0.5 points on either side',
    judge(figures) {
      const differences = [8, 32].map((workers) =>
        minus(settingAt(figures, DELTAS, workers).values, settingAt(figures, AVERAGE, workers).values),
      )
      const intervals = differences.map(intervalOf)
      return {
        verdict: verdictOf({
          held: intervals.every(({ mean }) => Math.abs(mean) <= HALF),
          refuted: intervals.some((each) => each.isAbove(HALF) || each.isBelow(-HALF)),
        }),
        figures: `Adasum less average: ${differences.map((each) => differenceText(each)).join('; ')}`,
      }
    },
  },
  {
    number: 4,
    predicted: 'At one worker’s rate Adasum of gradients diverges for 32 and more workers, where Adasum of deltas trains.', // prettier-ignore
    refutedIf: 'Adasum of gradients is within 1 point of Adasum of deltas',
    judge(figures) {
      const pairs = [32, 128].map(
        (workers) => [DELTAS, GRADIENTS].map((curve) => settingAt(figures, curve, workers, AT_ONE)) as [Setting, Setting], // prettier-ignore
      )
      const behind = pairs.map(([deltas, gradients]) => minus(deltas.values, gradients.values))
      return {
        verdict: verdictOf({
          held: pairs.every(([deltas, gradients]) => deltas.diverged === 0 && gradients.diverged === gradients.seeds.length), // prettier-ignore
          refuted: behind.some((values) => meanOf(values) <= WHOLE),
        }),
        figures: pairs
          .map(
            ([, { workers, diverged, seeds }], index) =>
              `${String(workers)} workers: gradients behind deltas by ${differenceText(behind[index]!)}, ${diverged} of ${seeds.length} diverged`,
          ) // prettier-ignore
          .join('; '),
      }
    },
  },
  {
    number: 5,
    predicted: 'At 32 workers damped Adasum wants a smaller rate than Adasum, and 1 / (1 + cos) a larger one; tuned, both are within 0.5 points of it.', // prettier-ignore
    refutedIf: 'the order of the best rates is reversed: one of the two lies on the other side of Adasum',
    judge(figures) {
      const one = oneOf(figures)
      const [damped, adasum, adascale] = [DAMPED, DELTAS, ADASCALE].map((curve) => settingAt(figures, curve, 32)) as [Setting, Setting, Setting] // prettier-ignore
      const isNear = [damped, adascale].every(({ values }) => Math.abs(meanOf(minus(values, adasum.values))) <= HALF)
      return {
        verdict: verdictOf({
          held: damped.rate < adasum.rate && adasum.rate < adascale.rate && isNear,
          refuted: damped.rate > adasum.rate || adasum.rate > adascale.rate,
        }),
        figures: `rates ${rateText(damped, one)}, ${rateText(adasum, one)}, ${rateText(adascale, one)} of one worker’s; damped ${differenceText(minus(damped.values, adasum.values))}, 1 / (1 + cos) ${differenceText(minus(adascale.values, adasum.values))} from Adasum`, // prettier-ignore
      }
    },
  },
  {
    number: 6,
    predicted: 'Without warm-up, at 128 workers, the average loses more accuracy than Adasum of deltas.',
    refutedIf: 'the difference has the other sign with an interval that excludes zero',
    judge(figures) {
      const [average, adasum] = [AVERAGE, DELTAS].map((curve) =>
        worseBy(settingAt(figures, curve, 128), settingAt(figures, curve, 128, 'no warm-up')),
      ) as [number[], number[]]
      const difference = minus(average, adasum)
      const { isAbove, isBelow } = intervalOf(difference)
      return {
        verdict: verdictOf({ held: isAbove(0), refuted: isBelow(0) }),
        figures: `average loses ${differenceText(average)}, Adasum ${differenceText(adasum)}; difference ${differenceText(difference)}`, // prettier-ignore
      }
    },
  },
  {
    number: 7,
    predicted: 'With 6 epochs every operator is more than 0.5 points below one worker at 128 workers.',
    refutedIf: 'an operator stays within 0.5 points',
    judge(figures) {
      const one = oneOf(figures)
      const losses = figures
        .all({ ...LENET, part: BEST, workers: 128 })
        .map((each) => ({ curve: curveOf(each), values: minus(one.values, each.values) }))
      const means = losses.map(({ values }) => meanOf(values))
      return {
        verdict: verdictOf({
          held: means.every((mean) => mean > HALF),
          refuted: means.some((mean) => mean <= HALF),
        }),
        figures: losses.map(({ curve, values }) => `${curve} ${differenceText(values)}`).join('; '),
      }
    },
  },
  {
    number: 8,
    predicted: 'At 32 workers no operator reaches one worker’s accuracy in 0.55 of the steps.',
    refutedIf: 'one does with all seeds',
    judge(figures) {
      const one = oneOf(figures)
      const ahead = figures
        .all({ ...LENET, part: '0.55 of the steps', workers: 32 })
        .map((each) => ({ curve: curveOf(each), values: minus(each.values, one.values) }))
      return {
        verdict: verdictOf({
          held: ahead.every(({ values }) => meanOf(values) < 0),
          refuted: ahead.some(({ values }) => values.every((value) => value >= 0)),
        }),
        figures: `less one worker: ${ahead.map(({ curve, values }) => `${curve} ${differenceText(values)}`).join('; ')}`,
      }
    },
  },
  {
    number: 9,
    predicted: 'One worker that combines 8 micro-batches by Adasum does what 8 workers do by Adasum of gradients: equal results.', // prettier-ignore
    refutedIf: 'there is any difference',
    judge(figures) {
      const micro = settingAt(figures, GRADIENTS, 1, '8 micro-batches')
      settingAt(figures, GRADIENTS, 8)
      const [one, many] = [hashesOf(figures, micro, 1), hashesOf(figures, micro, 8)]
      const equal = micro.seeds.filter((seed) => one.has(seed) && one.get(seed) === many.get(seed)).length
      return {
        verdict: verdictOf({ held: equal === micro.seeds.length, refuted: equal < micro.seeds.length }),
        figures: `${equal} of ${micro.seeds.length} seeds end with the same weights to the bit`,
      }
    },
  },
  {
    number: 10,
    predicted: 'With batch norm, at 32 workers, the best rate of Adasum of deltas lies between a quarter of one worker’s and twice it, and its regret is smaller than the average’s.', // prettier-ignore
    refutedIf: 'either is not so',
    judge(figures) {
      const one = oneOf(figures, RESIDUAL)
      const adasum = settingAt(figures, DELTAS, 32, BEST, RESIDUAL)
      const regrets = [AVERAGE, DELTAS].map((curve) => regretOf(figures, curve, 32, RESIDUAL)) as [number[], number[]]
      const isSmaller = meanOf(regrets[1]) < meanOf(regrets[0])
      const held = isNearOne(adasum.rate, one.rate) && isSmaller
      return {
        verdict: verdictOf({ held, refuted: !held }),
        figures: `Adasum’s rate ${rateText(adasum, one)} of one worker’s; regret: average ${differenceText(regrets[0])}, Adasum ${differenceText(regrets[1])}`, // prettier-ignore
      }
    },
  },
]

export const sentences: Answer['sentences'] = [
  (figures) => {
    const one = oneOf(figures)
    return `One worker comes to ${meanText(one, 'accuracy')} on the test set of Fashion-MNIST, at its best rate of ${numberText(one.rate)}.` // prettier-ignore
  },
  ...[32, 128].map((workers) => (figures: Figures) => {
    const [average, adasum] = [AVERAGE, DELTAS].map((curve) => settingAt(figures, curve, workers)) as [Setting, Setting]
    return `With ${workers} workers, each at its best rate, the average comes to ${meanText(average, 'accuracy')} and Adasum of deltas to ${meanText(adasum, 'accuracy')}; ${compared('Adasum', 'the average', minus(adasum.values, average.values))}.` // prettier-ignore
  }),
  (figures) => {
    const [average, adasum] = [AVERAGE, DELTAS].map((curve) => settingAt(figures, curve, 32, AT_ONE)) as [Setting, Setting] // prettier-ignore
    return `At one worker’s own rate, which is known without a search, 32 workers come to ${meanText(average, 'accuracy')} by the average and to ${meanText(adasum, 'accuracy')} by Adasum of deltas.` // prettier-ignore
  },
  (figures) => {
    const one = oneOf(figures)
    const rates = (curve: string): string =>
      WORKERS.map((workers) => rateText(settingAt(figures, curve, workers), one)).join(', ')
    return `For 8, 32 and 128 workers the best rate is ${rates(AVERAGE)} that of one worker for the average, ${rates(DELTAS)} for Adasum of deltas and ${rates(GRADIENTS)} for Adasum of gradients.` // prettier-ignore
  },
  (figures) => {
    const one = oneOf(figures)
    const most = [AVERAGE, DELTAS, GRADIENTS].map((curve) => {
      const good = WORKERS.filter((n) => meanOf(minus(one.values, settingAt(figures, curve, n).values)) <= HALF)
      return `${Math.max(1, ...good)} with ${curve}`
    })
    return `The most workers that stay within half a point of one, in the mean: ${most.join(', ')}.`
  },
]
