/** Weights with operators that take parameters, in the local functions: against the definition, and what they must not change. */
import test from 'ava'
import { adasumSync, averageSync, reduce, reduceSync, sumSync } from '../../ts/src/reduction/local.ts'
import type { CoefficientFunction, FloatArray, Operator } from '../../ts/src/types.ts'
import { fc, runsOf } from '../_property.ts'
import { bitsOf } from '../_world.ts'
import { operatorOracle } from './_operators.ts'
import { FAMILIES, familyOf, relativeError } from './_oracle.ts'

const BY_PAIRS: Operator[] = [
  { name: 'adasum', kappa: 0.4 },
  { name: 'adasum', kappa: 1.3 },
  { name: 'adascale' },
  { name: 'adascale', cap: 3 },
]
const TAME = Object.keys(FAMILIES).filter((family) => !family.startsWith('alternating'))
/** A function of weights: their average. */
const MEAN: CoefficientFunction = (gram, { weights }) => {
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  return gram.map((_, i) => weights[i]! / total)
}

const anyWeight = fc.oneof(
  fc.constantFrom(0, 0, 1, 32, 5e-324, 2 ** 53),
  fc.integer({ min: 1, max: 1000 }),
  fc.double({ min: 1e-6, max: 1e6, noNaN: true }),
)
const anyCase = fc.record({
  op: fc.constantFrom(...BY_PAIRS),
  weights: fc.array(anyWeight, { minLength: 1, maxLength: 9 }),
  dtype: fc.constantFrom('f32', 'f64'),
  family: fc.constantFrom(...TAME),
  length: fc.integer({ min: 3, max: 5000 }),
  seed: fc.nat(1e6),
})
type Case = typeof anyCase extends fc.Arbitrary<infer C> ? C : never

function inputsOf({ weights, dtype, family, length, seed }: Omit<Case, 'op'>): FloatArray[] {
  const make = (n: number): FloatArray => (dtype === 'f32' ? new Float32Array(n) : new Float64Array(n))
  return familyOf<FloatArray>(family, make, { count: weights.length, length, seed })
}

test('damped Adasum and adascale: any weights give what the definition gives', (t) => {
  fc.assert(
    fc.property(anyCase, (one) => {
      const { op, weights, dtype } = one
      const inputs = inputsOf(one)
      const got = reduceSync(inputs, { op, weights })
      if (got.weights?.join() !== weights.join()) throw new Error(`the weights are ${got.weights?.join()}`)
      const error = relativeError(got.result, operatorOracle(op, inputs, weights))
      if (!(error <= (dtype === 'f32' ? 1e-6 : 1e-11))) throw new Error(`off by ${error}`)
    }),
    { numRuns: runsOf(300) },
  )
  t.pass()
})

test('equal weights give the bits of none, and weight 0 those of an input that is left out', (t) => {
  const custom: Operator = { name: 'custom', coefficients: MEAN }
  const anyPair = fc.record({
    one: anyCase,
    op: fc.constantFrom(...BY_PAIRS, custom),
    weight: anyWeight.filter((weight) => weight > 0),
    absent: fc.nat(0x1ff),
  })
  fc.assert(
    fc.property(anyPair, ({ one, op, weight, absent }) => {
      const inputs = inputsOf(one)
      const weights = inputs.map((_, i) => ((absent >> i) & 1 ? 0 : weight))
      const options = { op, coefficients: true, onNonFinite: 'skip' as const }
      const got = reduceSync(inputs, { ...options, weights })
      inputs.forEach((input, i) => weights[i] === 0 && input.fill(NaN))
      const want = reduceSync(inputs, options)
      if (bitsOf(got.result) !== bitsOf(want.result)) throw new Error('the bits differ')
      if (JSON.stringify(got.segments) !== JSON.stringify(want.segments)) throw new Error('the reports differ')
    }),
    { numRuns: runsOf(300) },
  )
  t.pass()
})

test('with weights, too, kappa 1 is adasum and kappa 0 the sum of those that take part, bit for bit', (t) => {
  for (const family of TAME) {
    const weights = [3, 0, 0.5, 1e6, 1]
    const inputs = inputsOf({ weights, dtype: 'f32', family, length: 3000, seed: 3 })
    const bits = (kappa: number) => bitsOf(reduceSync(inputs, { op: { name: 'adasum', kappa }, weights }).result)
    t.is(bits(1), bitsOf(adasumSync(inputs, { weights }).result))
    t.is(bits(0), bitsOf(sumSync(inputs.filter((_, i) => weights[i] !== 0)).result))
  }
})

test('AdaScale averages parallel inputs by weights, damped Adasum mixes that with their sum; orthogonal ones are added', (t) => {
  const [weights, parallel] = [[32, 8, 20], [1, 4, 2].map((x) => Float64Array.of(x, 2 * x))]
  const mean = averageSync(parallel, { weights }).result
  const found = (op: Operator, inputs: Float64Array[], own = weights) => reduceSync(inputs, { op, weights: own }).result
  t.true(relativeError(found({ name: 'adascale' }, parallel), mean) < 1e-14)
  const pair = parallel.slice(0, 2)
  const mixed = averageSync(pair, { weights: [32, 8] }).result.map(
    (x, i) => 0.6 * (pair[0]![i]! + pair[1]![i]!) + 0.4 * x,
  )
  t.true(relativeError(found(BY_PAIRS[0]!, pair, [32, 8]), mixed) < 1e-14)
  const orthogonal = [0, 1, 2].map((i) => new Float64Array(3).fill(2, i, i + 1))
  for (const op of BY_PAIRS) t.deepEqual([...found(op, orthogonal)], [2, 2, 2])
})

test('a function of the caller’s gets the weights of the inputs that take part', async (t) => {
  const inputs = [1, 5, 3].map((x) => Float32Array.of(x, 2 * x))
  const seen: (readonly number[])[] = []
  const coefficients: CoefficientFunction = (gram, segment) => {
    seen.push(segment.weights)
    return MEAN(gram, segment)
  }
  const op = { name: 'custom', coefficients } as const
  const { result, weights } = await reduce(inputs, { op, weights: [6, 0, 2] })
  t.deepEqual([...result], [1.5, 3])
  t.deepEqual(weights, [6, 0, 2])
  reduceSync(inputs, { op, weights: [0, 4, 4] })
  reduceSync(inputs, { op })
  t.deepEqual(seen, [[6, 2], [1, 1], [1, 1, 1]]) // prettier-ignore
})

test('operators that no weights are defined for refuse them', (t) => {
  const inputs = [Float32Array.of(1), Float32Array.of(2)]
  for (const op of [{ name: 'adacons' }, { name: 'gaf', tau: 1 }] as const)
    t.throws(() => reduceSync(inputs, { op, weights: [1, 1] }), {
      code: 'ERR_ARGUMENT',
      message: `weights is given, and op is ${op.name}: only average, adasum (with kappa, too), adascale and custom count samples. Use one of these, or leave weights out.`,
    })
})
