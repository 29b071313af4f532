/** What the study elastic was expected to show, and what came out. */
import { type Summary, summarize } from '../../engine/statistics.ts'
import { byLoss } from '../../engine/study.ts'
import { phasesOf } from '../../training/cell.ts'
import {
  AT_ONE,
  AVERAGE,
  DELTAS,
  type Figures,
  GRADIENTS,
  SUM,
  Unfinished,
  curveOf,
  differenceText,
  meanText,
  minus,
  numberText,
} from '../figures.ts'
import { type Prediction, verdictOf } from '../prediction.ts'
import type { Run } from '../results.ts'
import { type Answer, compared } from './answer.ts'

const CURVES = [SUM, AVERAGE, DELTAS, GRADIENTS]
const OWN = 'best rate of the first number'

/** The runs of a setting, by seed. */
function runsOf(figures: Figures, curve: string, part: string): Run[] {
  const { rate } = figures.setting({ curve, part })
  return figures.runs
    .filter(({ cell }) => cell.keepsLosses === true && curveOf(cell) === curve && cell.rate === rate)
    .sort((a, b) => a.cell.seed - b.cell.seed)
}

/** The rise of the loss at 4 to 12 workers, at the curve's own rate; without bound if runs diverge right behind it. */
function riseOf(figures: Figures, curve: string): Summary {
  const runs = runsOf(figures, curve, OWN)
  const change = ({ cell }: Run): number => phasesOf(cell).slice(0, -1).reduce((sum, { steps }) => sum + steps, 0) // prettier-ignore
  const known = figures.findingIfKnown(`${curve}: rise of the loss at 4 to 12 workers`)
  if (known !== undefined) return known
  if (runs.some((run) => (run.result.losses ?? []).length <= change(run))) throw new Unfinished(`${curve}: the change`)
  return { mean: Infinity, interval: null }
}

const riseText = (rise: Summary): string =>
  rise.mean === Infinity ? 'diverges behind the change' : differenceText(rise, 'loss')

/** Losses on the test set at the end, by seed. */
const endsOf = (figures: Figures, curve: string): number[] =>
  runsOf(figures, curve, AT_ONE).map(({ result }) => byLoss.of(result))

export const predictions: readonly Prediction[] = [
  {
    number: 1,
    predicted: 'When 4 workers become 12, the loss of the sum rises over the next steps by more than that of Adasum (of deltas).', // prettier-ignore
    refutedIf: 'Adasum’s rises more',
    judge(figures) {
      const rises = new Map(CURVES.map((curve) => [curve, riseOf(figures, curve)]))
      const [sum, adasum] = [SUM, DELTAS].map((curve) => rises.get(curve)!.mean) as [number, number]
      return {
        verdict: verdictOf({ held: sum > adasum, refuted: adasum > sum }),
        figures: CURVES.map((curve) => `${curve} ${riseText(rises.get(curve)!)}`).join('; '),
      }
    },
  },
  {
    number: 2,
    predicted: 'At one worker’s rate Adasum (of deltas) ends at a lower loss than the average, after the same samples.',
    refutedIf: 'it ends higher',
    judge(figures) {
      const [average, deltas, gradients] = [AVERAGE, DELTAS, GRADIENTS].map((curve) => endsOf(figures, curve)) as [number[], number[], number[]] // prettier-ignore
      const { mean } = summarize(minus(deltas, average))
      return {
        verdict: verdictOf({ held: mean < 0, refuted: mean > 0 }),
        figures: `less the average: Adasum of deltas ${differenceText(minus(deltas, average), 'loss')}, of gradients ${differenceText(minus(gradients, average), 'loss')}`, // prettier-ignore
      }
    },
  },
  {
    number: 3,
    predicted: 'The average does not notice the change, beyond its noise.',
    refutedIf: 'its loss rises by more than the standard deviation of the steps before',
    judge(figures) {
      const beyond = figures.finding(
        `${AVERAGE}: rise of the loss at 4 to 12 workers less the deviation of the steps before`,
      )
      return {
        verdict: verdictOf({ held: beyond.mean <= 0, refuted: beyond.mean > 0 }),
        figures: `rise ${riseText(riseOf(figures, AVERAGE))}; less the deviation ${differenceText(beyond, 'loss')}`,
      }
    },
  },
]

export const sentences: Answer['sentences'] = [
  (figures) => {
    const text = CURVES.map((curve) => `${riseText(riseOf(figures, curve))} with ${curve}`).join(', ')
    return `When 4 workers become 12, each operator at the best rate of its 8 workers, the loss over the next steps changes like this: ${text}.` // prettier-ignore
  },
  (figures) => {
    const text = CURVES.map((curve) => `${meanText(figures.setting({ curve, part: OWN }), 'accuracy')} with ${curve}`)
    return `At these rates training ends at an accuracy of ${text.join(', ')}.`
  },
  (figures) => {
    const [average, adasum] = [AVERAGE, DELTAS].map((curve) => figures.setting({ curve, part: AT_ONE }).values) as [number[], number[]] // prettier-ignore
    const { rate } = figures.setting({ curve: AVERAGE, part: AT_ONE })
    return `At one worker’s rate of ${numberText(rate)}, ${compared('Adasum of deltas', 'the average', minus(adasum, average))}.`
  },
]
