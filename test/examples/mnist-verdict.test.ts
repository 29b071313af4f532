/** The headlines and the JSON of the example: what they say of runs that are made up. */
import test from 'ava'
import { fc, runsOf } from '../_property.ts'
import {
  type Config,
  type Done,
  type Outcomes,
  type Results,
  type Summary,
  everywhere,
  load,
  results,
} from './_mnist.ts'

interface Verdict {
  verdictOn: (results: Results, steps: number) => { rates: string; epoch: string; details: string[] }
  countNearBest: (rates: Summary[]) => Record<string, number>
}

interface Json {
  toJson: (ranks: number, results: Results) => string
}

const { verdictOn, countNearBest } = await load<Verdict>('verdict.mjs')
const { toJson } = await load<Json>('json.mjs')
const { OPS, RATES, QUICK_EXAMPLES, FEWEST_STEPS_TO_COMPARE, rateSteps, epochSteps } = await load<Config>('config.mjs')

const FULL_STEPS = rateSteps(60_000, 4)
const GOOD: Outcomes = {
  average: [0.8, 0.85, 0.9, 0.93, 0.95],
  sum: [0.94, 0.955, 0.9621, 0.1, 0.1135],
  adasum: [0.93, 0.96, 0.97, 0.9655, 0.96],
}

const headlineOf = (outcomes: Outcomes): string => verdictOn(results(outcomes), FULL_STEPS).rates

test('the headline counts the rates at which each operator is within one point of the best', (t) => {
  t.is(
    headlineOf(GOOD),
    'Within one point of the best accuracy (97.00 %): Adasum at 4 of 5 learning rates, sum at 1, average at none',
  )
})

test('it says so, too, if Adasum is not ahead', (t) => {
  t.is(
    headlineOf({ ...GOOD, average: GOOD.adasum, adasum: GOOD.average }),
    'Within one point of the best accuracy (97.00 %): average at 4 of 5 learning rates, sum at 1, Adasum at none',
  )
})

test('operators that have done equally well are named together', (t) => {
  t.is(
    headlineOf({ ...GOOD, sum: GOOD.adasum }),
    'Within one point of the best accuracy (97.00 %): Adasum and sum at 4 of 5 learning rates, average at none',
  )
  t.is(
    headlineOf(everywhere(0.9)),
    'Within one point of the best accuracy (90.00 %): Adasum, sum and average at 5 of 5 learning rates',
  )
})

test('one point is what the printed numbers differ by: exactly one counts, a hundredth more does not', (t) => {
  // In floating point 0.9729 - 0.9629 is more than 0.01, and 0.9729 - 0.963 less.
  t.true(0.9729 - 0.9629 > 0.01)
  const outcomes = { average: [0.9729, 0.9629, 0.9628, 0.5, 0.5], sum: [0.9629, 0.1, 0.1, 0.1, 0.1] }
  const { rates } = results({ ...everywhere(0.5), ...outcomes })
  t.deepEqual(countNearBest(rates), { average: 2, sum: 1, adasum: 0 })
})

test('runs that have failed count nowhere, and set no standard', (t) => {
  const failures = [
    { diverged: true, accuracy: 0.99 },
    { diverged: true, accuracy: NaN },
    { accuracy: NaN },
    { accuracy: 0.19 },
    { accuracy: 0.098 },
  ]
  t.deepEqual(countNearBest(results({ ...GOOD, sum: failures }).rates), { average: 0, sum: 0, adasum: 4 })
  t.is(
    headlineOf({ ...GOOD, sum: failures }),
    'Within one point of the best accuracy (97.00 %): Adasum at 4 of 5 learning rates, sum and average at none',
  )
  const none = { average: failures, sum: failures, adasum: failures }
  t.deepEqual(countNearBest(results(none).rates), { average: 0, sum: 0, adasum: 0 })
  t.is(headlineOf(none), 'No operator learns anything at any of the 5 learning rates')
})

interface MadeRun {
  hundredths: number
  diverged: boolean
}

/** Counted without a share of code or of rounding: in whole hundredths of a point. */
function naiveCount(runs: readonly MadeRun[], all: readonly MadeRun[]): number {
  const learnt = (run: MadeRun): boolean => !run.diverged && run.hundredths >= 2000
  let best = 0
  for (const run of all) if (learnt(run) && run.hundredths > best) best = run.hundredths
  let count = 0
  for (const run of runs) if (learnt(run) && run.hundredths + 100 >= best) count++
  return count
}

test('the counts are those of a loop over whole hundredths of a point', (t) => {
  const fiveOf = (least: number): fc.Arbitrary<MadeRun[]> => {
    const run = fc.record({ hundredths: fc.integer({ min: least, max: 10_000 }), diverged: fc.boolean() })
    return fc.array(run, { minLength: RATES.length, maxLength: RATES.length })
  }
  const ofOp = fc.oneof(fiveOf(0), fiveOf(9_800))
  const property = fc.property(fc.record({ average: ofOp, sum: ofOp, adasum: ofOp }), (made) => {
    const outcomeOf = ({ hundredths, diverged }: MadeRun): Partial<Done> => ({
      accuracy: hundredths / 10_000,
      diverged,
    })
    const outcomes = {
      average: made.average.map(outcomeOf),
      sum: made.sum.map(outcomeOf),
      adasum: made.adasum.map(outcomeOf),
    }
    const counts = countNearBest(results(outcomes).rates)
    const all = Object.values(made).flat()
    for (const [op, runs] of Object.entries(made)) t.is(counts[op], naiveCount(runs, all))
  })
  fc.assert(property, { numRuns: runsOf(100) })
})

test('a sentence has the accuracies at the rate of one worker, the best first', (t) => {
  const sentence = (outcomes: Outcomes): string => verdictOn(results(outcomes), FULL_STEPS).details[0]!
  t.is(
    sentence(GOOD),
    `At ${RATES[2]}, the best rate of one worker alone, Adasum reaches 97.00 %, sum reaches 96.21 % and average reaches 90.00 %.`,
  )
  const failing = { ...GOOD, adasum: RATES.map(() => ({ diverged: true })), sum: RATES.map(() => 0.1) }
  t.is(
    sentence(failing),
    `At ${RATES[2]}, the best rate of one worker alone, average reaches 90.00 %, Adasum diverges and sum learns nothing (10.00 %).`,
  )
})

test('the epoch is compared in seconds and accuracy, whoever is ahead', (t) => {
  const headline = (alone: object, ranks: object, examples = 60_000): string =>
    verdictOn(results(GOOD, { alone, ranks }, examples), FULL_STEPS).epoch
  t.is(
    headline({ seconds: 50, accuracy: 0.9802 }, { seconds: 27, accuracy: 0.9731 }),
    'A full epoch: 4 processes are 1.9 times as fast as one alone, and 0.71 points less accurate',
  )
  t.is(
    headline({ seconds: 20, accuracy: 0.97 }, { seconds: 30, accuracy: 0.9805 }),
    'A full epoch: 4 processes are 1.5 times as slow as one alone, and 1.05 points more accurate',
  )
  t.is(
    headline({ seconds: 20, accuracy: 0.97 }, { seconds: 20.4, accuracy: 0.97 }, 51_200),
    '51,200 images: 4 processes are as fast as one alone, and as accurate',
  )
  t.is(
    headline({ seconds: 50, accuracy: 0.98 }, { seconds: 25, accuracy: 0.1 }),
    'A full epoch: 4 processes are 2.0 times as fast as one alone, and reach 10.00 % instead of 98.00 %',
  )
})

test('the figures of the epoch stand in a sentence', (t) => {
  t.is(
    verdictOn(results(GOOD), FULL_STEPS).details[1],
    'With 59,904 images at 0.01, 4 processes by Adasum reach 97.00 % in 25.0 s and 234 steps; plain TensorFlow.js in one process 98.00 % in 50.0 s and 3,744 steps.',
  )
})

test('of a quick run it is said whether it works, and nothing is compared', (t) => {
  const steps = rateSteps(QUICK_EXAMPLES, 4)
  t.true(steps < FEWEST_STEPS_TO_COMPARE && FULL_STEPS >= FEWEST_STEPS_TO_COMPARE)
  t.is(epochSteps(60_000, 4), 234)
  const quick = results(GOOD, {}, QUICK_EXAMPLES)
  const why = `Runs of ${steps} steps are too short to compare learning rates or operators; it takes ${FEWEST_STEPS_TO_COMPARE} steps.`
  t.deepEqual(verdictOn(quick, steps), {
    rates: 'Accuracy over learning rate',
    epoch: 'Accuracy over time',
    details: [
      'The 4 ranks ended each of their 16 runs with the same weights, bit for bit; of all 17 runs 15 do better than guessing.',
      why,
    ],
  })
  quick.rates[3]!.weightsEqual = false
  t.is(
    verdictOn(quick, steps).details[0],
    'The 4 ranks ended only 15 of their 16 runs with the same weights, bit for bit; of all 17 runs 15 do better than guessing.',
  )
})

test('the JSON line has exactly the promised keys, in full and quick runs alike', (t) => {
  for (const examples of [60_000, QUICK_EXAMPLES]) {
    const made = results({ ...GOOD, sum: [0.95, 0.96, 0.97, NaN, { diverged: true, accuracy: 0.0982 }] }, {}, examples)
    const line = toJson(4, made)
    t.false(line.includes('\n'))
    const { rates, ...others } = JSON.parse(line) as { rates: object[] }
    t.deepEqual(others, {
      worldSize: 4,
      logicalWorkers: 16,
      withinOnePoint: { average: 0, sum: 2, adasum: 4 },
      epoch: { alone: { seconds: 50, accuracy: 0.98 }, ranks: { seconds: 25, accuracy: 0.97 } },
      weightsEqual: true,
    } as object)
    t.is(rates.length, 15)
    t.deepEqual(rates[0], { op: 'average', learningRate: RATES[0], accuracy: 0.8 })
    t.deepEqual(
      rates.map((rate) => (rate as { op: string }).op),
      RATES.flatMap(() => OPS),
    )
    t.deepEqual(rates[10], { op: 'sum', learningRate: RATES[3], accuracy: null })
    t.deepEqual(rates[13], { op: 'sum', learningRate: RATES[4], accuracy: 0.0982 })
  }
})

test('one run whose ranks differ makes weightsEqual false', (t) => {
  for (const spoil of [(made: Results) => made.rates[14]!, (made: Results) => made.ranks]) {
    const made = results(GOOD)
    spoil(made).weightsEqual = false
    t.false((JSON.parse(toJson(4, made)) as { weightsEqual: boolean }).weightsEqual)
  }
})
