/** The verdicts on predictions: that there is one for each, and what they have in common. */
import { readFileSync } from 'node:fs'
import test from 'ava'
import { type Prediction, intervalOf, judge, verdictOf } from '../../studies/pages/prediction.ts'
import { SUBJECTS } from '../../studies/pages/subjects.ts'
import { MadeUp } from './_made-up.ts'

for (const [study, { answer }] of Object.entries(SUBJECTS))
  for (const prediction of answer.predictions)
    test(`${study} ${prediction.number}: open if nothing is there`, (t) => {
      t.is(judge(prediction, new MadeUp().figures).verdict, 'open')
    })

test('every prediction of the page has its verdict, and no other', (t) => {
  const page = readFileSync(new URL('../../docs/studies/predictions.md', import.meta.url), 'utf8')
  const sections = page.split(/^## /m).map((section) => ({
    name: section.split('\n')[0]!,
    numbers: [...section.matchAll(/^(\d+)\. \*\*/gm)].map(([, number]) => Number(number)),
  }))
  const predicted = sections.filter(({ numbers }) => numbers.length > 0)
  const judged = Object.entries(SUBJECTS).map(([name, { answer }]) => ({
    name,
    numbers: answer.predictions.map(({ number }) => number),
  }))
  t.true(predicted.length >= 7)
  const byName = (one: { name: string }, other: { name: string }): number => (one.name < other.name ? -1 : 1)
  t.deepEqual(judged.filter(({ numbers }) => numbers.length > 0).sort(byName), predicted.sort(byName)) // prettier-ignore
})

test('what is refuted has not held; an error that is none of missing runs is not swallowed', (t) => {
  t.is(verdictOf({ held: true, refuted: true }), 'refuted')
  t.is(verdictOf({ held: true, refuted: false }), 'held')
  t.is(verdictOf({ held: false, refuted: false }), 'open')
  const broken: Prediction = {
    ...{ number: 1, predicted: '', refutedIf: '' },
    judge: () => {
      throw new TypeError('a mistake')
    },
  }
  t.throws(() => judge(broken, new MadeUp().figures), { message: 'a mistake' })
})

test('of one seed nothing is sure', (t) => {
  const { isKnown, isAbove, isBelow } = intervalOf([5])
  t.deepEqual([isKnown, isAbove(0), isBelow(10)], [false, false, false])
  const pair = intervalOf([5, 5])
  t.deepEqual([pair.isKnown, pair.isAbove(4.9), pair.isBelow(4.9)], [true, true, false])
})
