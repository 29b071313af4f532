import test from 'ava'
import { type Schedule, constant, cosine, linear, stepDecay, warmupStableDecay } from '../../ts/src/optim/index.ts'
import { cosPi, power } from '../../ts/src/optim/exact-math.ts'
import { fc, runsOf } from '../_property.ts'

const near = (a: number, b: number, tolerance = 4e-16): boolean =>
  Math.abs(a - b) <= tolerance * Math.max(1, Math.abs(b))

test('powers and cosines are those of Math, to the last bits', (t) => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1, noNaN: true }), (x) => {
      t.true(near(cosPi(x), Math.cos(Math.PI * x)), `cos(pi ${x})`)
    }),
    { numRuns: runsOf(1000) },
  )
  fc.assert(
    fc.property(fc.double({ min: 0.5, max: 1, noNaN: true }), fc.nat(5000), (base, exponent) => {
      const want = base ** exponent
      t.true(Math.abs(power(base, exponent) - want) <= 1e-12 * want, `${base}^${exponent}`)
    }),
    { numRuns: runsOf(1000) },
  )
  t.deepEqual([power(0.9, 0), power(0, 0), power(0, 3), power(0.9, 1)], [1, 1, 0, 0.9])
  t.deepEqual([cosPi(0), cosPi(0.5), cosPi(1)], [1, cosPi(0.5), -1])
  t.true(Math.abs(cosPi(0.5)) < 1e-16)
})

const SHAPES: Record<string, (t: number, steps: number) => number> = {
  linear: (t, steps) => 1 - t / steps,
  cosine: (t, steps) => (1 + Math.cos((Math.PI * t) / steps)) / 2,
}

test('linear and cosine fall from the rate to the end rate, after the warm-up', (t) => {
  const options = fc.record({
    rate: fc.double({ min: 1e-4, max: 1, noNaN: true }),
    endRate: fc.double({ min: 0, max: 0.1, noNaN: true }),
    warmupSteps: fc.nat(20),
    more: fc.integer({ min: 1, max: 100 }),
  })
  fc.assert(
    fc.property(options, fc.constantFrom('linear', 'cosine'), ({ more, ...given }, name) => {
      const steps = given.warmupSteps + more
      const schedule = (name === 'linear' ? linear : cosine)({ ...given, steps })
      const { rate, endRate, warmupSteps } = given
      for (let step = 0; step < steps + 5; step++) {
        const after = Math.min(more, step - warmupSteps)
        const want =
          step < warmupSteps
            ? (rate * (step + 1)) / warmupSteps
            : endRate + (rate - endRate) * SHAPES[name]!(after, more)
        t.true(near(schedule(step), want, 1e-14), `${name}, step ${step}: ${schedule(step)}, not ${want}`)
      }
      t.true(near(schedule(steps), endRate, 1e-15))
    }),
    { numRuns: runsOf(100) },
  )
})

const first = (schedule: Schedule, count: number): number[] => Array.from({ length: count }, (_, i) => schedule(i))

test('constant, steps, and warm-up, stable, decay', (t) => {
  t.deepEqual(first(constant({ rate: 1 }), 3), [1, 1, 1])
  t.deepEqual(first(constant({ rate: 1, warmupSteps: 4 }), 6), [0.25, 0.5, 0.75, 1, 1, 1])
  t.deepEqual(first(stepDecay({ rate: 8, every: 2, factor: 0.5 }), 6), [8, 8, 4, 4, 2, 2])
  t.deepEqual(first(stepDecay({ rate: 8, every: 2, factor: 0.5, warmupSteps: 1 }), 6), [8, 8, 8, 4, 4, 2])
  const stable = warmupStableDecay({ rate: 4, steps: 10, warmupSteps: 2, decaySteps: 4 })
  t.deepEqual(first(stable, 12), [2, 4, 4, 4, 4, 4, 4, 3, 2, 1, 0, 0])
})

const REFUSED: readonly [what: string, make: () => unknown, message: RegExp][] = [
  ['a rate below zero', () => constant({ rate: -1 }), /rate is -1; .* at least 0/],
  ['a rate that is no number', () => cosine({ rate: NaN, steps: 3 }), /rate is NaN/],
  ['a misspelt option', () => linear({ rate: 1, steps: 3, warmup: 1 } as never), /no option "warmup"/],
  ['no steps after the warm-up', () => linear({ rate: 1, steps: 3, warmupSteps: 3 }), /steps is 3, and 3 of them/],
  ['half a step', () => stepDecay({ rate: 1, every: 1.5, factor: 0.1 }), /every is 1.5/],
  [
    'a decay longer than the schedule',
    () => warmupStableDecay({ rate: 1, steps: 9, warmupSteps: 3, decaySteps: 7 }),
    /decaySteps is 7, and 6 steps/,
  ],
  ['no options', () => constant(undefined as never), /options must be an object/],
  ['a warm-up that is no number', () => constant({ rate: 1, warmupSteps: '3' as never }), /warmupSteps is 3/],
]

for (const [what, make, message] of REFUSED)
  test(`refused: ${what}`, (t) => void t.throws(make, { code: 'ERR_ARGUMENT', message }))
