import test from 'ava'
import { type GramMatrix, NoiseMeter, type ObservedReduction, gradientNoise } from '../../ts/src/optim/index.ts'
import { fc, runsOf } from '../_property.ts'
import { gramOf, noisyGradients, scaled } from './_gram.ts'

const near = (a: number, b: number, tolerance = 1e-12): boolean =>
  Object.is(a, b) || Math.abs(a - b) <= tolerance * Math.max(Math.abs(a), Math.abs(b))

const reductionOf = (...grams: GramMatrix[]): ObservedReduction => ({
  segments: grams.map((gram, i) => ({ name: `w${i}`, gram })),
})

const vectors = fc.array(fc.array(fc.integer({ min: -9, max: 9 }), { minLength: 3, maxLength: 3 }), {
  minLength: 4,
  maxLength: 4,
})

test('running means are weighted means of all steps, the later the more', (t) => {
  const steps = fc.array(vectors, { minLength: 1, maxLength: 8 })
  fc.assert(
    fc.property(steps, fc.constantFrom(0, 0.5, 0.9, 0.99), (lists, decay) => {
      const meter = new NoiseMeter({ decay })
      for (const list of lists) t.true(meter.observe(reductionOf(gramOf(list))))
      const parts = lists.map((_, i) => decay ** (lists.length - 1 - i))
      const total = parts.reduce((sum, part) => sum + part, 0)
      const mean = (of: 'variance' | 'squaredMean'): number =>
        lists.reduce((sum, list, i) => sum + (parts[i]! / total) * gradientNoise(gramOf(list))![of], 0)
      const { stepCount, variance, squaredMean, noiseScale, rankCount, localBatch, ...advice } = meter.estimate()!
      t.true(Math.abs(variance - mean('variance')) <= 1e-9 && Math.abs(squaredMean - mean('squaredMean')) <= 1e-9)
      t.deepEqual([stepCount, rankCount, localBatch], [lists.length, 4, 1])
      const scale = variance === 0 ? 0 : squaredMean > 0 ? variance / squaredMean : Infinity
      t.is(noiseScale, scale)
      t.is(advice.usefulRankCount, Math.max(1, scale))
      t.true(advice.gain >= 1 && advice.gain <= advice.adasumFactor && advice.adasumFactor <= 4)
    }),
    { numRuns: runsOf(100) },
  )
})

test('all segments together are one long vector, and each has an estimate of its own', (t) => {
  fc.assert(
    fc.property(vectors, vectors, (a, b) => {
      const [meter, whole, second] = [new NoiseMeter(), new NoiseMeter(), new NoiseMeter()]
      meter.observe(reductionOf(gramOf(a), gramOf(b)))
      whole.observe(reductionOf(gramOf(a.map((vector, i) => [...vector, ...b[i]!]))))
      second.observe(reductionOf(gramOf(b)))
      t.deepEqual(meter.estimate(), whole.estimate())
      t.deepEqual(
        meter.segments().map(({ name }) => name),
        ['w0', 'w1'],
      )
      t.deepEqual(meter.segments()[1], { name: 'w1', ...second.estimate()! })
    }),
    { numRuns: runsOf(100) },
  )
})

test('longer gradients by a power of two change no bit of the advice', (t) => {
  const lists = fc.array(vectors, { minLength: 1, maxLength: 4 })
  fc.assert(
    fc.property(lists, fc.integer({ min: -300, max: 300 }), (steps, exponent) => {
      const [meter, longer] = [new NoiseMeter(), new NoiseMeter()]
      for (const list of steps) {
        meter.observe(reductionOf(gramOf(list)))
        longer.observe(reductionOf(scaled(gramOf(list), 4 ** exponent)))
      }
      const ratios = (of: NoiseMeter) => ({ ...of.estimate()!, variance: 0, squaredMean: 0 })
      t.deepEqual(ratios(longer), ratios(meter))
    }),
    { numRuns: runsOf(100) },
  )
})

test('the noise scale of few noisy ranks is found in time, where one step cannot show it', (t) => {
  const [meter, variance] = [new NoiseMeter({ decay: 0.995 }), 64]
  let stepsWithoutMean = 0
  for (let step = 0; step < 400; step++) {
    // Few elements: the products of noise hide the mean gradient, of which |G|^2 is 1.
    const gram = gramOf(noisyGradients([1, 1], variance, 400, step + 1))
    if (gradientNoise(gram)!.squaredMean <= 0) stepsWithoutMean++
    meter.observe(reductionOf(gram))
  }
  const { noiseScale, usefulRankCount, gain, adasumFactor } = meter.estimate({ rankCount: 64 })!
  t.true(stepsWithoutMean > 40, `${stepsWithoutMean} of 400 steps`)
  t.true(near(noiseScale, variance, 0.4), `noise scale ${noiseScale}`)
  t.is(usefulRankCount, noiseScale)
  t.true(near(gain, (64 * (1 + 1 / variance)) / 2, 0.3))
  t.true(gain < adasumFactor)
})

test('sample counts make samples the unit', (t) => {
  const samples = [8, 16, 32, 8]
  const [meter, named] = [new NoiseMeter(), new NoiseMeter()]
  const reduction = reductionOf(gramOf(noisyGradients(samples, 160, 20_000, 2)))
  t.true(meter.observe({ ...reduction, weights: samples }))
  t.true(named.observe({ ...reduction, sampleCounts: samples }))
  t.deepEqual(named.estimate(), meter.estimate())
  const { noiseScale, localBatch, usefulRankCount } = meter.estimate()!
  t.true(near(noiseScale, 160, 0.1), `noise scale ${noiseScale}`)
  t.is(localBatch, 16)
  t.is(usefulRankCount, noiseScale / 16)
})

test('a step without matrices, or with one rank, teaches nothing; nothing was learnt before the first', (t) => {
  const meter = new NoiseMeter()
  t.is(meter.estimate(), undefined)
  t.deepEqual(meter.segments(), [])
  const gram = gramOf([[1], [2]])
  t.false(meter.observe({ segments: [] }))
  t.false(meter.observe({ segments: [{ name: 'w0' }] }))
  t.false(meter.observe({ segments: [{ name: 'w0', gram }, { name: 'w1' }] }))
  t.false(meter.observe(reductionOf(gramOf([[1]]))))
  t.false(meter.observe(reductionOf([Float64Array.of(NaN, NaN), Float64Array.of(NaN, 4)])))
  t.false(meter.observe({ ...reductionOf(gram), weights: [0, 3] }))
  t.false(meter.observe(reductionOf(scaled(gramOf([[1], [-1]]), 1e308))))
  t.is(meter.estimate(), undefined)
  t.true(meter.observe(reductionOf(gram)))
  t.is(meter.estimate()!.stepCount, 1)
  // A rank that was left out changes nothing of what the others say.
  const absent = [Float64Array.of(1, NaN, 2), Float64Array.of(NaN, NaN, NaN), Float64Array.of(2, NaN, 4)]
  const other = new NoiseMeter()
  other.observe(reductionOf(absent))
  t.deepEqual(other.estimate(), meter.estimate())
})

test('what is no reduction, and another kind than before, is refused', (t) => {
  const refused = (call: () => unknown, message: RegExp): void => {
    t.throws(call, { code: 'ERR_ARGUMENT', message })
  }
  for (const decay of [1, -0.1, NaN, '0.9']) refused(() => new NoiseMeter({ decay: decay as number }), /decay is/)
  refused(() => new NoiseMeter({ beta: 0.9 } as object), /no option "beta"/)
  const meter = new NoiseMeter()
  for (const value of [undefined, null, 3, { segments: [null] }])
    refused(() => meter.observe(value as unknown as ObservedReduction), /the reduction cannot be read/)
  refused(() => meter.observe(reductionOf([Float64Array.of(1, 2)])), /gram\[0\] has 2 numbers for 1 rows/)
  const gram = gramOf([[1], [2]])
  t.true(meter.observe(reductionOf(gram, gram)))
  refused(() => meter.observe(reductionOf(gram)), /1 segments.* 2 segments/)
  refused(
    () =>
      meter.observe({
        segments: [
          { name: 'w0', gram },
          { name: 'x', gram },
        ],
      }),
    /x at place 1.*w1 at place 1/,
  )
  refused(
    () => meter.observe({ ...reductionOf(gram, gram), weights: [1, 2] }),
    /with sample counts, and the first one was without/,
  )
  refused(() => meter.estimate({ rankCount: 0 }), /rankCount is 0/)
  refused(() => meter.segments({ ranks: 2 } as object), /no option "ranks"/)
})
