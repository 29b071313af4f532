/** What the study transformer was expected to show, and what came out. */
import { meanOf } from '../../engine/statistics.ts'
import type { Setting } from '../../engine/study.ts'
import {
  AT_ONE,
  AVERAGE,
  AVERAGE_OF_DELTAS,
  BEST,
  DELTAS,
  type Figures,
  GRADIENTS,
  Unfinished,
  differenceText,
  meanText,
  minus,
  numberText,
  rateText,
  valueText,
} from '../figures.ts'
import { type Prediction, intervalOf, verdictOf } from '../prediction.ts'
import { type Answer, compared } from './answer.ts'

const OPTIMIZERS = ['lamb', 'adam'] as const
const NAMES: Readonly<Record<string, string>> = { lamb: 'LAMB', adam: 'Adam' }
const WORKERS = [8, 32]
const MOST = 32
const SHARES = [1, 0.85, 0.7, 0.55]
/** Models whose losses differ by no more are of equal loss. */
const EQUAL_LOSS = 0.02

const settingAt = (figures: Figures, optimizer: string, curve: string, workers: number, part: string = BEST): Setting =>
  figures.setting({ model: 'characters', optimizer, curve, workers, part })

const oneOf = (figures: Figures, optimizer: string): Setting => settingAt(figures, optimizer, AVERAGE, 1)

/** A text for each optimizer. */
const both = (textOf: (optimizer: string) => string): string =>
  OPTIMIZERS.map((optimizer) => `${NAMES[optimizer]}: ${textOf(optimizer)}`).join('; ')

/** The numbers of workers with which a curve was to be tried; some are tried with the most of them only. */
function workersOf(figures: Figures, optimizer: string, curve: string): number[] {
  const tried = WORKERS.filter(
    (workers) => figures.settings({ model: 'characters', optimizer, curve, workers, part: BEST }).length > 0,
  )
  if (tried.length === 0) throw new Unfinished(`${optimizer}, ${curve}`)
  return tried
}

/** The settings of a curve in shares of the steps, the whole of them first. */
const sharesOf = (figures: Figures, optimizer: string, curve: string): Setting[] =>
  SHARES.map((share) => settingAt(figures, optimizer, curve, MOST, share === 1 ? BEST : `${share} of the steps`))

/**
 * The share of the steps in which a curve comes to a loss: on the straight line between the last share that does and the
 * first that does not. Infinity if all of the steps do not, 0 if all shares do.
 *
 * @param losses - by share, in the order of `SHARES`
 */
export function shareFor(loss: number, losses: readonly number[]): number {
  const worse = losses.findIndex((each) => each > loss)
  if (worse === -1) return 0
  if (worse === 0) return Infinity
  const [reached, missed] = [losses[worse - 1]!, losses[worse]!]
  const [from, to] = [SHARES[worse - 1]!, SHARES[worse]!]
  return from + ((loss - reached) / (missed - reached)) * (to - from)
}

function shareText(share: number): string {
  if (share === 0) return `at most ${SHARES.at(-1)!} of the steps`
  return share === Infinity ? 'not in all of the steps' : `${numberText(share)} of the steps`
}

/** How far `values` lie outside what is between the two others, by seed; undefined if their mean is between them. */
function outside(values: readonly number[], one: readonly number[], other: readonly number[]): number[] | undefined {
  const [low, high] = meanOf(one) <= meanOf(other) ? [one, other] : [other, one]
  if (meanOf(values) < meanOf(low)) return minus(low, values)
  return meanOf(values) > meanOf(high) ? minus(values, high) : undefined
}

export const predictions: readonly Prediction[] = [
  {
    number: 1,
    predicted: 'The average with Adam or LAMB wants a rate that grows like the square root of n: at 32 workers from twice to 16 times one worker’s.', // prettier-ignore
    refutedIf: 'its best rate at 32 workers is below twice one worker’s, or above half of n times it',
    judge(figures) {
      const ratios = OPTIMIZERS.map((each) => settingAt(figures, each, AVERAGE, MOST).rate / oneOf(figures, each).rate)
      const held = ratios.every((ratio) => ratio >= 2 && ratio <= MOST / 2)
      return {
        verdict: verdictOf({ held, refuted: !held }),
        figures: both((each) => `${rateText(settingAt(figures, each, AVERAGE, MOST), oneOf(figures, each))} of one worker’s`), // prettier-ignore
      }
    },
  },
  {
    number: 2,
    predicted: 'The best rate of Adasum of deltas stays within a factor of 2 of one worker’s at 8 and 32 workers.',
    refutedIf: 'it lies outside',
    judge(figures) {
      const ratios = OPTIMIZERS.flatMap((each) =>
        WORKERS.map((workers) => settingAt(figures, each, DELTAS, workers).rate / oneOf(figures, each).rate),
      )
      const held = ratios.every((ratio) => ratio >= 1 / 2 && ratio <= 2)
      const text = (each: string): string =>
        WORKERS.map((workers) => rateText(settingAt(figures, each, DELTAS, workers), oneOf(figures, each))).join(', ')
      return { verdict: verdictOf({ held, refuted: !held }), figures: both((each) => `${text(each)} at 8, 32`) }
    },
  },
  {
    number: 3,
    predicted: 'Adasum of deltas reaches the loss of the best average in fewer steps, by less than 20 %.',
    refutedIf: 'it takes as many steps or more, or saves at least 20 %',
    judge(figures) {
      const shares = OPTIMIZERS.map((each) => {
        const losses = sharesOf(figures, each, DELTAS).map(({ mean }) => mean)
        return shareFor(settingAt(figures, each, AVERAGE, MOST).mean, losses)
      })
      const held = shares.every((share) => share > 0.8 && share < 1)
      return {
        verdict: verdictOf({ held, refuted: !held }),
        figures: OPTIMIZERS.map((each, index) => `${NAMES[each]}: ${shareText(shares[index]!)}`).join('; '),
      }
    },
  },
  {
    number: 4,
    predicted: 'At one worker’s rate the average of deltas lies between the average of gradients and Adasum of deltas.',
    refutedIf: 'it lies outside by more than the interval',
    judge(figures) {
      const places = OPTIMIZERS.flatMap((each) => WORKERS.map((workers) => ({ each, workers }))).map((place) => {
        const [gradients, deltas, adasum] = [AVERAGE, AVERAGE_OF_DELTAS, DELTAS].map((curve) =>
          settingAt(figures, place.each, curve, place.workers, AT_ONE),
        ) as [Setting, Setting, Setting]
        const losses = [gradients, deltas, adasum].map(({ mean }) => valueText(mean, 'loss')).join(', ')
        return { ...place, losses, beyond: outside(deltas.values, gradients.values, adasum.values) }
      })
      return {
        verdict: verdictOf({
          held: places.every(({ beyond }) => beyond === undefined),
          refuted: places.some(({ beyond }) => beyond !== undefined && intervalOf(beyond).isAbove(0)),
        }),
        figures: places.map(({ each, workers, losses }) => `${NAMES[each]}, ${workers} workers: ${losses}`).join('; '),
      }
    },
  },
  {
    number: 5,
    predicted: 'Linear probes on the frozen models differ by less than 1 point between models of equal loss.',
    refutedIf: 'the interval of the difference lies beyond 1 point',
    judge(figures) {
      const pairs = probePairs(figures)
      if (pairs.length === 0) return { verdict: 'open', figures: `no losses within ${EQUAL_LOSS} of the average’s` }
      const intervals = pairs.map(({ values }) => intervalOf(values))
      return {
        verdict: verdictOf({
          held: intervals.every(({ mean }) => Math.abs(mean) < 0.01),
          refuted: intervals.some((each) => each.isAbove(0.01) || each.isBelow(-0.01)),
        }),
        figures: pairs.map(({ name, values }) => `${name}: ${differenceText(values)}`).join('; '),
      }
    },
  },
  {
    number: 6,
    predicted: 'The best rate of Adasum of gradients is within a factor of 2 of the average’s, and at one worker’s rate it is behind Adasum of deltas.', // prettier-ignore
    refutedIf: 'either is not so',
    judge(figures) {
      const places = OPTIMIZERS.flatMap((each) =>
        workersOf(figures, each, GRADIENTS).map((workers) => {
          const at = (curve: string, part: string): Setting => settingAt(figures, each, curve, workers, part)
          const ratio = at(GRADIENTS, BEST).rate / at(AVERAGE, BEST).rate
          const behind = minus(at(GRADIENTS, AT_ONE).values, at(DELTAS, AT_ONE).values)
          return { name: `${NAMES[each]}, ${workers} workers`, ratio, behind }
        }),
      )
      const held = places.every(({ ratio, behind }) => ratio >= 1 / 2 && ratio <= 2 && meanOf(behind) > 0)
      return {
        verdict: verdictOf({ held, refuted: !held }),
        figures: places.map(({ name, ratio, behind }) => `${name}: ${numberText(ratio)} times the average’s, behind by ${differenceText(behind, 'loss')}`).join('; '), // prettier-ignore
      }
    },
  },
]

/** Models whose losses are equal to those of the average, and how much better their probes are. */
function probePairs(figures: Figures): { name: string; values: number[] }[] {
  return OPTIMIZERS.flatMap((each) =>
    [AVERAGE_OF_DELTAS, DELTAS, GRADIENTS].flatMap((curve) =>
      workersOf(figures, each, curve).flatMap((workers) => {
        const at = (of: string, part: string): Setting => settingAt(figures, each, of, workers, part)
        const values = minus(at(curve, 'linear probe').values, at(AVERAGE, 'linear probe').values)
        const isEqual = Math.abs(at(curve, BEST).mean - at(AVERAGE, BEST).mean) <= EQUAL_LOSS
        return isEqual ? [{ name: `${NAMES[each]}, ${curve}, ${workers} workers`, values }] : []
      }),
    ),
  )
}

export const sentences: Answer['sentences'] = OPTIMIZERS.flatMap((each) => [
  (figures: Figures) => {
    const [average, adasum] = [AVERAGE, DELTAS].map((curve) => settingAt(figures, each, curve, MOST)) as [Setting, Setting] // prettier-ignore
    const ahead = compared('Adasum', 'the average', minus(average.values, adasum.values), 'loss')
    return `With ${NAMES[each]} one worker comes to a loss of ${meanText(oneOf(figures, each), 'loss')} a character; of ${MOST} workers, each operator at its best rate, the average comes to ${meanText(average, 'loss')} and Adasum of deltas to ${meanText(adasum, 'loss')}; ${ahead}.` // prettier-ignore
  },
  (figures: Figures) => {
    const [average, adasum] = [AVERAGE, DELTAS].map((curve) => settingAt(figures, each, curve, MOST, AT_ONE)) as [Setting, Setting] // prettier-ignore
    return `At one worker’s own rate ${NAMES[each]} comes to ${valueText(average.mean, 'loss')} by the average and to ${valueText(adasum.mean, 'loss')} by Adasum of deltas.` // prettier-ignore
  },
  (figures: Figures) => {
    const losses = sharesOf(figures, each, DELTAS).map(({ mean }) => mean)
    const share = shareFor(settingAt(figures, each, AVERAGE, MOST).mean, losses)
    return `With ${NAMES[each]} Adasum of deltas has the loss of the best average ${share === Infinity ? '' : 'in '}${shareText(share)}.` // prettier-ignore
  },
])
