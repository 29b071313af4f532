/** Verdicts on the predictions for largest-batch: each is seen as held, as refuted and as open. */
import { MadeUp } from './_made-up.ts'
import { cases, near, unchanged, wide } from './_cases.ts'

const AVERAGE = 'average of gradients'
const [DELTAS, GRADIENTS] = ['adasum of deltas', 'adasum of gradients']
const [DAMPED, ADASCALE] = ['damped of deltas', 'adascale of deltas']
const [BEST, AT_ONE] = ['best rate', "one worker's rate"]

const CURVES = [AVERAGE, DELTAS, GRADIENTS, DAMPED, ADASCALE]
const largestBatch = (): MadeUp =>
  new MadeUp()
    .settings({ parts: [BEST], curves: [AVERAGE], workers: [1], values: near(0.9) })
    .settings({ parts: [BEST, AT_ONE], curves: CURVES, workers: [8, 32, 128], values: near(0.89) })
    .settings({ parts: ['no warm-up'], curves: [AVERAGE, DELTAS, GRADIENTS], workers: [128], values: near(0.88) })
    .settings({ parts: ['0.55 of the steps'], curves: [AVERAGE, DELTAS, GRADIENTS], workers: [32], values: near(0.88) })

cases('largest-batch', 1, () => largestBatch().change({ part: BEST, curve: AVERAGE, workers: 128 }, { rate: 0.04 }), [
  ['held', 'the average’s rate grows and Adasum’s stays', unchanged],
  ['held', 'Adasum’s rate is a quarter or twice', (o) => o.change({ part: BEST, curve: DELTAS, workers: 8 }, { rate: 0.02 }).change({ part: BEST, curve: DELTAS, workers: 128 }, { rate: 0.0025 })], // prettier-ignore
  ['refuted', 'Adasum’s rate is four times', (o) => o.change({ part: BEST, curve: DELTAS, workers: 32 }, { rate: 0.04 })], // prettier-ignore
  ['refuted', 'Adasum’s rate is an eighth', (o) => o.change({ part: BEST, curve: DELTAS, workers: 32 }, { rate: 0.00125 })], // prettier-ignore
  ['refuted', 'the average’s rate does not grow', (o) => o.change({ part: BEST, curve: AVERAGE, workers: 8 }, { rate: 0.04 })], // prettier-ignore
  ['open', 'the average’s rate grows by less than twice', (o) => o.change({ part: BEST, curve: AVERAGE, workers: 8 }, { rate: 0.03 })], // prettier-ignore
  ['open', 'a run of Adasum is missing', (o) => o.change({ part: BEST, curve: DELTAS, workers: 32 }, { missing: 1 })],
])

const regret = (o: MadeUp, curve: string, values: number[], model = 'lenet'): MadeUp =>
  o.change({ part: AT_ONE, curve, workers: 32, model }, { values })

cases('largest-batch', 2, largestBatch, [
  ['held', 'the average loses 5 points and Adasum none', (o) => regret(o, AVERAGE, near(0.84))],
  ['refuted', 'both lose the same', unchanged],
  ['refuted', 'Adasum loses more', (o) => regret(o, DELTAS, near(0.84))],
  ['refuted', 'the interval contains zero', (o) => regret(o, AVERAGE, wide(0.84))],
  ['open', 'Adasum loses less, but more than a point', (o) => regret(regret(o, AVERAGE, near(0.8)), DELTAS, near(0.86))], // prettier-ignore
  ['open', 'there is one seed', () => new MadeUp().settings({ parts: [BEST, AT_ONE], curves: CURVES, workers: [32], values: [0.9] })], // prettier-ignore
])

cases('largest-batch', 3, largestBatch, [
  ['held', 'they are equal', unchanged],
  ['refuted', 'Adasum is a point ahead', (o) => o.change({ part: BEST, curve: DELTAS, workers: 8 }, { values: near(0.9) })], // prettier-ignore
  ['refuted', 'Adasum is a point behind', (o) => o.change({ part: BEST, curve: DELTAS, workers: 32 }, { values: near(0.88) })], // prettier-ignore
  ['open', 'a point lies between, and the interval is wide', (o) => o.change({ part: BEST, curve: DELTAS, workers: 8 }, { values: wide(0.9) })], // prettier-ignore
])

const divergedAtOne = (o: MadeUp, curve: string, workers: number): MadeUp =>
  o.change({ part: AT_ONE, curve, workers }, { values: near(0.1), diverged: 3 })

cases('largest-batch', 4, largestBatch, [
  ['held', 'gradients diverge', (o) => divergedAtOne(divergedAtOne(o, GRADIENTS, 32), GRADIENTS, 128)],
  ['refuted', 'gradients do as well', unchanged],
  ['refuted', 'gradients do as well with 128 workers', (o) => divergedAtOne(o, GRADIENTS, 32)],
  ['open', 'gradients are worse, but do not diverge', (o) => o.change({ part: AT_ONE, curve: GRADIENTS }, { values: near(0.7) })], // prettier-ignore
])

const rates32 = (o: MadeUp, damped: number, adascale: number): MadeUp =>
  o
    .change({ part: BEST, curve: DAMPED, workers: 32 }, { rate: damped })
    .change({ part: BEST, curve: ADASCALE, workers: 32 }, { rate: adascale })

cases('largest-batch', 5, largestBatch, [
  ['held', 'the order is as predicted', (o) => rates32(o, 0.005, 0.02)],
  ['refuted', 'the order is reversed', (o) => rates32(o, 0.02, 0.005)],
  ['refuted', 'damped Adasum wants a larger rate', (o) => rates32(o, 0.02, 0.02)],
  ['refuted', '1 / (1 + cos) wants a smaller rate', (o) => rates32(o, 0.005, 0.005)],
  ['open', 'all rates are the same', unchanged],
  ['open', 'damped is a point behind', (o) => rates32(o, 0.005, 0.02).change({ part: BEST, curve: DAMPED, workers: 32 }, { values: near(0.88) })], // prettier-ignore
])

const cold = (o: MadeUp, curve: string, values: number[]): MadeUp => o.change({ part: 'no warm-up', curve }, { values })

cases('largest-batch', 6, largestBatch, [
  ['held', 'the average loses 5 points more', (o) => cold(o, AVERAGE, near(0.83))],
  ['refuted', 'Adasum loses 5 points more', (o) => cold(o, DELTAS, near(0.83))],
  ['open', 'the average loses more, with a wide interval', (o) => cold(o, AVERAGE, wide(0.86))],
  ['open', 'both lose the same', unchanged],
])

cases('largest-batch', 7, largestBatch, [
  ['held', 'all are a point below one worker', unchanged],
  ['refuted', 'one is not', (o) => o.change({ part: BEST, curve: ADASCALE, workers: 128 }, { values: near(0.897) })],
  ['open', 'one is missing', (o) => o.change({ part: BEST, curve: ADASCALE, workers: 128 }, { missing: 3 })],
])

const short = (o: MadeUp, values: number[]): MadeUp =>
  o.change({ part: '0.55 of the steps', curve: DELTAS }, { values })

cases('largest-batch', 8, largestBatch, [
  ['held', 'all are below', unchanged],
  ['refuted', 'one is above with all seeds', (o) => short(o, near(0.91))],
  ['open', 'one is above in the mean', (o) => short(o, wide(0.91))],
])

const hashes = (o: MadeUp, workers: number, all: string[]): MadeUp =>
  o.runs(
    { split: 'test', model: 'lenet', optimizer: 'momentum', op: 'adasum', of: 'gradients', workers, rate: 0.01 },
    all.map((sha256) => ({ sha256 })),
  )

cases(
  'largest-batch',
  9,
  () =>
    hashes(
      largestBatch().settings({ parts: ['8 micro-batches'], curves: [GRADIENTS], workers: [1], values: near(0.89) }),
      1,
      ['a', 'b', 'c'],
    ),
  [
    ['held', 'all weights are the same', (o) => hashes(o, 8, ['a', 'b', 'c'])],
    ['refuted', 'one seed has others', (o) => hashes(o, 8, ['a', 'b', 'd'])],
    ['open', 'the 8 workers are missing', (o) => o.change({ part: BEST, curve: GRADIENTS, workers: 8 }, { missing: 1 })], // prettier-ignore
  ],
)

cases(
  'largest-batch',
  10,
  () =>
    new MadeUp()
      .settings({ parts: [BEST], curves: [AVERAGE], workers: [1], model: 'residual', values: near(0.9) })
      .settings({ parts: [BEST, AT_ONE], curves: [AVERAGE, DELTAS], workers: [32], model: 'residual', values: near(0.89) }), // prettier-ignore
  [
    ['held', 'the average loses more', (o) => regret(o, AVERAGE, near(0.87), 'residual')],
    ['refuted', 'Adasum loses more', (o) => regret(o, DELTAS, near(0.87), 'residual')],
    ['refuted', 'Adasum’s rate is four times', (o) => regret(o, AVERAGE, near(0.87), 'residual').change({ part: BEST, curve: DELTAS }, { rate: 0.04 })], // prettier-ignore
    ['open', 'the average is missing', (o) => o.change({ part: AT_ONE, curve: AVERAGE }, { missing: 1 })],
  ],
)
