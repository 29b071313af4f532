/** Verdicts on the predictions for transformer: each is seen as held, as refuted and as open. */
import test from 'ava'
import { shareFor } from '../../studies/pages/answers/transformer.ts'
import { MadeUp } from './_made-up.ts'
import { cases, near, unchanged, wide } from './_cases.ts'

const AVERAGE = 'average of gradients'
const [DELTAS, GRADIENTS] = ['adasum of deltas', 'adasum of gradients']
const [BEST, AT_ONE] = ['best rate', "one worker's rate"]

const OF_TRANSFORMER = [AVERAGE, 'average of deltas', DELTAS, GRADIENTS]
const SHORT = ['0.85 of the steps', '0.7 of the steps', '0.55 of the steps']
function transformer(): MadeUp {
  const outcome = new MadeUp()
  for (const optimizer of ['lamb', 'adam']) {
    const about = { model: 'characters', optimizer, measure: 'loss', values: near(2) }
    outcome
      .settings({ ...about, parts: [BEST], curves: [AVERAGE], workers: [1] })
      .settings({ ...about, parts: [BEST, AT_ONE], curves: OF_TRANSFORMER, workers: [8, 32] })
      .settings({ ...about, parts: SHORT, curves: [AVERAGE, DELTAS, GRADIENTS], workers: [32] })
      .settings({ ...about, parts: ['linear probe'], curves: OF_TRANSFORMER, workers: [8, 32], measure: 'accuracy of the probe', values: near(0.5) }) // prettier-ignore
  }
  return outcome
}
const lossAt = (o: MadeUp, part: string, curve: string, value: number[], workers = 32): MadeUp =>
  o.change({ optimizer: 'lamb', part, curve, workers }, { values: value })

cases('transformer', 1, () => transformer().change({ part: BEST, curve: AVERAGE, workers: 32 }, { rate: 0.04 }), [
  ['held', 'both have four times the rate', unchanged],
  ['refuted', 'one has the same rate', (o) => o.change({ optimizer: 'adam', part: BEST, curve: AVERAGE, workers: 32 }, { rate: 0.01 })], // prettier-ignore
  ['refuted', 'one has 32 times the rate', (o) => o.change({ optimizer: 'lamb', part: BEST, curve: AVERAGE, workers: 32 }, { rate: 0.32 })], // prettier-ignore
  ['open', 'one is missing', (o) => o.change({ optimizer: 'lamb', part: BEST, curve: AVERAGE, workers: 32 }, { missing: 1 })], // prettier-ignore
])

cases('transformer', 2, transformer, [
  ['held', 'all have one worker’s rate', unchanged],
  ['held', 'one has twice the rate', (o) => o.change({ part: BEST, curve: DELTAS, workers: 8 }, { rate: 0.02 })],
  ['refuted', 'one has a quarter', (o) => o.change({ optimizer: 'adam', part: BEST, curve: DELTAS, workers: 32 }, { rate: 0.0025 })], // prettier-ignore
  ['open', 'one is missing', (o) => o.change({ optimizer: 'adam', part: BEST, curve: DELTAS, workers: 32 }, { missing: 1 })], // prettier-ignore
])

/** Adasum with these losses in all, 0.85, 0.7 and 0.55 of the steps, beside an average of 2. */
function inShares(o: MadeUp, losses: number[], optimizers = ['lamb', 'adam']): MadeUp {
  for (const optimizer of optimizers)
    [BEST, ...SHORT].forEach((part, index) => o.change({ optimizer, part, curve: DELTAS, workers: 32 }, { values: near(losses[index]!) })) // prettier-ignore
  return o
}

cases('transformer', 3, transformer, [
  ['held', 'the loss is reached in 0.925 of the steps', (o) => inShares(o, [1.9, 2.1, 2.3, 2.5])],
  ['refuted', 'it is not reached in all of them', (o) => inShares(o, [2.1, 2.2, 2.3, 2.5])],
  ['refuted', 'one optimizer reaches it in 0.7', (o) => inShares(inShares(o, [1.9, 2.1, 2.3, 2.5]), [1.8, 1.9, 2, 2.5], ['adam'])], // prettier-ignore
  ['refuted', 'it is reached in all shares', (o) => inShares(o, [1.8, 1.8, 1.8, 1.8])],
  ['open', 'a share is missing', (o) => inShares(o, [1.9, 2.1, 2.3, 2.5]).change({ part: SHORT[0]!, curve: DELTAS }, { missing: 1 })], // prettier-ignore
])

test('the share of the steps for a loss lies on the line between those that were tried', (t) => {
  const isNear = (one: number, other: number): boolean => Math.abs(one - other) < 1e-12
  t.true(isNear(shareFor(2, [1.9, 2.1, 3, 4]), 0.925))
  t.true(isNear(shareFor(2, [1.9, 1.9, 2, 4]), 0.7))
  t.true(isNear(shareFor(2, [1.9, 1.9, 2, 2.2]), 0.7))
  t.is(shareFor(2, [2.1, 1.9, 2, 4]), Infinity)
  t.is(shareFor(2, [1, 1, 1, 2]), 0)
})

cases(
  'transformer',
  4,
  () =>
    transformer()
      .change({ part: AT_ONE, curve: AVERAGE }, { values: near(2.2) })
      .change({ part: AT_ONE, curve: DELTAS }, { values: near(1.8) }),
  [
    ['held', 'it is between them', unchanged],
    ['refuted', 'it is above both', (o) => lossAt(o, AT_ONE, 'average of deltas', near(2.3))],
    ['refuted', 'it is below both', (o) => lossAt(o, AT_ONE, 'average of deltas', near(1.7), 8)],
    ['open', 'it is below both, within the interval', (o) => lossAt(o, AT_ONE, 'average of deltas', wide(1.79))],
  ],
)

const probe = (o: MadeUp, values: number[]): MadeUp =>
  o.change({ optimizer: 'lamb', part: 'linear probe', curve: DELTAS, workers: 8 }, { values })

cases('transformer', 5, transformer, [
  ['held', 'all probes are the same', unchanged],
  ['held', 'one is far better, of a model of another loss', (o) => lossAt(probe(o, near(0.6)), BEST, DELTAS, near(1.9), 8)], // prettier-ignore
  ['refuted', 'one is two points better', (o) => probe(o, near(0.52))],
  ['refuted', 'one is two points worse', (o) => probe(o, near(0.48))],
  ['open', 'one is two points better with a wide interval', (o) => probe(o, wide(0.52))],
  ['open', 'no losses are equal', (o) => o.change({ part: BEST, curve: AVERAGE }, { values: near(1) })],
])

cases('transformer', 6, () => transformer().change({ part: AT_ONE, curve: GRADIENTS }, { values: near(2.1) }), [
  ['held', 'the rates are the same, and deltas ahead', unchanged],
  ['refuted', 'a rate is four times the average’s', (o) => o.change({ optimizer: 'adam', part: BEST, curve: GRADIENTS, workers: 8 }, { rate: 0.04 })], // prettier-ignore
  ['refuted', 'it is ahead of deltas', (o) => lossAt(o, AT_ONE, GRADIENTS, near(1.9))],
  ['open', 'one is missing', (o) => o.change({ part: AT_ONE, curve: GRADIENTS, workers: 8 }, { missing: 1 })],
])
