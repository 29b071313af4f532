/** Figures of studies as text, and what charts leave out. */
import test from 'ava'
import { compared } from '../../studies/pages/answers/answer.ts'
import { axisOf, domainOf } from '../../studies/pages/charts/parts.ts'
import { curveEncoding, inOrder } from '../../studies/pages/charts/style.ts'
import {
  Unfinished,
  differenceText,
  meanText,
  minus,
  numberText,
  rateText,
  timesText,
  valueText,
  worseBy,
} from '../../studies/pages/figures.ts'
import { near, wide } from './_cases.ts'
import { MadeUp } from './_made-up.ts'

test('numbers have the digits that count, and no exponent', (t) => {
  t.deepEqual(
    [0, 1, 0.01234, 0.000012345, 123_456, -0.5, 2.5e-9, NaN, Infinity].map((value) => numberText(value)),
    ['0', '1', '0.0123', '0.0000123', '123000', '−0.5', '0.0000000025', 'unknown', 'infinite'],
  )
})

test('shares are percentages and their differences points; losses are neither', (t) => {
  t.is(valueText(0.89123, 'accuracy'), '89.12 %')
  t.is(valueText(1.23456, 'loss'), '1.235')
  t.is(valueText(NaN, 'accuracy'), 'unknown')
  t.is(meanText({ mean: 0.5, interval: [0.4, 0.6] }, 'accuracy of the probe'), '50.00 % (40.00 to 60.00)')
  t.is(meanText({ mean: 0.5, interval: null }, 'accuracy'), '50.00 %')
  t.is(differenceText({ mean: -0.012, interval: [-0.02, -0.004] }), '−1.20 points (−2.00 to −0.40)')
  t.is(differenceText({ mean: 0.5, interval: [0.25, 0.75] }, 'loss'), '0.500 (0.250 to 0.750)')
  t.is(differenceText([-1e-9, -1e-9]), '0.00 points (0.00 to 0.00)', 'without a minus before zero')
  t.is(differenceText([0.01]), '1.00 points', 'of one seed there is no interval')
})

test('a rate is so many times another one, and it is said if it may not be the best', (t) => {
  t.deepEqual([timesText(0.04, 0.01), timesText(0.0025, 0.01), timesText(NaN, 0.01)], ['4×', '1/4×', 'unknown'])
  const outcome = new MadeUp().settings({ parts: ['a'], curves: ['sum of deltas'], workers: [2, 4], values: [1] })
  const of = (isInside: boolean | null): string => {
    outcome.change({ workers: 4 }, { bestInsideGrid: isInside, rate: 0.02 })
    return rateText(outcome.figures.setting({ workers: 4 }), outcome.figures.setting({ workers: 2 }))
  }
  t.deepEqual([of(true), of(null), of(false)], ['2×', '2×', '2× (at the edge of its grid)'])
})

test('who is ahead is said where the interval says so', (t) => {
  t.is(compared('A', 'B', near(0.01)), 'A is ahead of B by 1.00 points (1.00 to 1.00)')
  t.is(compared('A', 'B', near(-0.01)), 'A is behind B by 1.00 points (1.00 to 1.00)')
  t.regex(compared('A', 'B', wide(0.01)), /^A less B is 1\.00 points \(−11\.\d\d to 13\.\d\d\), which is no clear/)
})

test('settings that are not there, or not whole, are not taken for figures', (t) => {
  const outcome = new MadeUp().settings({ parts: ['a'], curves: ['sum of deltas'], workers: [2, 4], values: near(1) })
  t.is(outcome.figures.all({ part: 'a' }).length, 2)
  outcome.change({ workers: 4 }, { missing: 1 })
  const { figures } = outcome
  t.is(figures.settings({ part: 'a' }).length, 2)
  t.is(figures.setting({ part: 'a', workers: 2 }).workers, 2)
  for (const ask of [
    () => figures.setting({ part: 'a', workers: 4 }),
    () => figures.setting({ part: 'b' }),
    () => figures.all({ part: 'a' }),
    () => figures.all({ part: 'b' }),
    () => figures.finding('none'),
  ])
    t.throws(ask, { instanceOf: Unfinished })
})

test('what is worse is lower in accuracy, and higher in loss; other seeds are no pairs', (t) => {
  const about = { parts: ['a', 'b'], curves: ['sum of deltas'], workers: [2], values: [1, 1] }
  for (const [measure, sign] of [
    ['accuracy', 1],
    ['loss', -1],
  ] as const) {
    // prettier-ignore
    const { figures } = new MadeUp().settings({ ...about, measure }).change({ part: 'b' }, { values: [0.5, 0.75] })
    t.deepEqual(worseBy(figures.setting({ part: 'a' }), figures.setting({ part: 'b' })), [0.5 * sign, 0.25 * sign])
  }
  t.throws(() => minus([1], [1, 2]), { message: /1 and 2 values/ })
})

test('an axis goes from the best to what is not far worse', (t) => {
  const [low, high] = domainOf([0.1, 0.85, 0.9, NaN], 'accuracy')
  t.true(low > 0.73 && low < 0.75 && high > 0.9 && high < 0.92, `${low} to ${high}`)
  const [best, worst] = domainOf([1.5, 1.7, 9], 'loss')
  t.true(best > 1.4 && best < 1.5 && worst > 2.5 && worst < 2.6, `${best} to ${worst}`)
  t.is(domainOf([0.9, 0.999], 'accuracy')[1], 1)
})

test('a wide interval takes no room from what it belongs to', (t) => {
  const [low, high] = domainOf([0.6, 0.55], 'accuracy', [-2, 1.4])
  t.true(low > 0.4 && low < 0.5 && high > 0.6 && high < 0.7, `${low} to ${high}`)
  const [least, most] = domainOf([2, 2.1], 'loss', [-3, 8])
  t.true(least > 1.6 && least < 2 && most > 2.1 && most < 3.2, `${least} to ${most}`)
})

test('labels of an axis have as many digits as tell them apart', (t) => {
  const formatOf = (measure: 'accuracy' | 'loss', range: number): string => axisOf(measure, [1, 1 + range], '').format
  t.deepEqual([0.15, 0.03, 0.004].map((range) => formatOf('accuracy', range)), ['.0%', '.1%', '.2%']) // prettier-ignore
  t.deepEqual(
    [6, 1, 0.01].map((range) => formatOf('loss', range)),
    ['.0f', '.1f', '.3f'],
  )
})

test('each curve has a colour, in an order of its own; one without is a mistake', (t) => {
  t.deepEqual(inOrder(['adasum of deltas', 'average of gradients', 'adasum of deltas']), ['average of gradients', 'adasum of deltas']) // prettier-ignore
  const { color, shape } = curveEncoding(['gaf of gradients', 'average of gradients'])
  t.deepEqual(color.scale.domain, ['average of gradients', 'gaf of gradients'])
  t.is(new Set(color.scale.range).size, 2)
  t.is(new Set(shape.scale.range).size, 2)
  t.throws(() => curveEncoding(['max of deltas']), { message: /max of deltas has no colour/ })
})
