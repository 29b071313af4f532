/** Cases of verdicts: an outcome that is made up, a change of it, and what is to be said. */
import test from 'ava'
import { type Prediction, type Verdict, judge } from '../../studies/pages/prediction.ts'
import { SUBJECTS } from '../../studies/pages/subjects.ts'
import type { MadeUp } from './_made-up.ts'

/** Three seeds around a mean, so near that intervals are narrow, or so far apart that they contain anything near. */
export const near = (mean: number): number[] => [mean - 1e-5, mean, mean + 1e-5]
export const wide = (mean: number): number[] => [mean - 0.05, mean, mean + 0.05]

export type Case = [verdict: Verdict, why: string, change: (outcome: MadeUp) => MadeUp]

export const unchanged = (outcome: MadeUp): MadeUp => outcome

/** A test for each case of a prediction. */
export function cases(study: string, number: number, base: () => MadeUp, all: readonly Case[]): void {
  for (const [verdict, why, change] of all)
    test(`${study} ${number}: ${verdict} if ${why}`, (t) => {
      const found = judge(predictionOf(study, number), change(base()).figures)
      t.is(found.verdict, verdict, found.figures)
      t.notRegex(found.figures, /NaN|undefined|unknown/)
    })
  test(`${study} ${number}: there is a case for each verdict`, (t) => {
    t.deepEqual([...new Set(all.map(([verdict]) => verdict))].sort(), ['held', 'open', 'refuted'])
  })
}

function predictionOf(study: string, number: number): Prediction {
  return SUBJECTS[study]!.answer.predictions.find((each) => each.number === number)!
}
