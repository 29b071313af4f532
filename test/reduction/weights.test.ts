/** Inputs that count by weights, in the local functions: against the definition, and against calls without weights. */
import test from 'ava'
import { adasum, adasumSync, average, averageSync, reduce, reduceSync, sumSync } from '../../ts/src/reduction/local.ts'
import type { CoefficientFunction, FloatArray, Operator, ReduceOp } from '../../ts/src/types.ts'
import { bitsOf } from '../_world.ts'
import { fc, runsOf } from '../_property.ts'
import { operatorOracleOf } from './_operators.ts'
import { FAMILIES, familyOf, oracle, relativeError } from './_oracle.ts'

const BY_PAIRS: Operator[] = [
  { name: 'adasum', kappa: 0.4 },
  { name: 'adasum', kappa: 1.3 },
  { name: 'adascale' },
  { name: 'adascale', cap: 3 },
]
/** The average, as a function of the caller's. */
const MEAN: CoefficientFunction = (gram, { weights }) => {
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  return gram.map((_, i) => weights[i]! / total)
}
/** Those in which rounding is not magnified by what cancels. */
const TAME = Object.keys(FAMILIES).filter((family) => !family.startsWith('alternating'))

const anyWeight = fc.oneof(
  fc.constantFrom(0, 0, 1, 32, 5e-324, 2 ** 53),
  fc.integer({ min: 1, max: 1000 }),
  fc.double({ min: 1e-6, max: 1e6, noNaN: true }),
)
const anyCase = fc.record({
  op: fc.constantFrom<ReduceOp | Operator>('average', 'adasum', ...BY_PAIRS, { name: 'custom', coefficients: MEAN }),
  weights: fc.array(anyWeight, { minLength: 1, maxLength: 9 }),
  dtype: fc.constantFrom('f32', 'f64'),
  family: fc.constantFrom(...TAME),
  segments: fc.array(fc.integer({ min: 3, max: 5000 }), { minLength: 1, maxLength: 3 }),
  seed: fc.nat(1e6),
})
type Case = typeof anyCase extends fc.Arbitrary<infer C> ? C : never

function inputsOf({ weights, dtype, family, segments, seed }: Omit<Case, 'op'>): FloatArray[] {
  const make = (n: number): FloatArray => (dtype === 'f32' ? new Float32Array(n) : new Float64Array(n))
  const length = segments.reduce((a, b) => a + b)
  return familyOf<FloatArray>(family, make, { count: weights.length, length, seed })
}

/** By the definitions of the operators, a segment at a time. */
function definition(
  op: ReduceOp | Operator,
  inputs: FloatArray[],
  segments: number[],
  weights: number[],
): Float64Array {
  if (typeof op === 'string') return oracle(op, inputs, segments, weights)
  if (op.name === 'custom') return oracle('average', inputs, segments, weights)
  return operatorOracleOf(op, inputs, segments, weights)
}

test('any weights give what the definition gives', (t) => {
  fc.assert(
    fc.property(anyCase, (one) => {
      const { op, weights, dtype, segments } = one
      const inputs = inputsOf(one)
      const got = reduceSync(inputs, { op, weights, segments })
      const want = definition(op, inputs, segments, weights)
      if (got.weights?.join() !== weights.join()) throw new Error(`the weights are ${got.weights?.join()}`)
      const error = relativeError(got.result, want, segments)
      if (!(error <= (dtype === 'f32' ? 1e-6 : typeof op === 'string' ? 1e-12 : 1e-11)))
        throw new Error(`off by ${error}`)
    }),
    { numRuns: runsOf(300) },
  )
  t.pass()
})

test('equal weights give the bits of none, and weight 0 those of an input that is left out', (t) => {
  const anyPair = fc.record({ one: anyCase, weight: anyWeight.filter((weight) => weight > 0), absent: fc.nat(0x1ff) })
  fc.assert(
    fc.property(anyPair, ({ one, weight, absent }) => {
      const { op, segments } = one
      const inputs = inputsOf(one)
      const weights = inputs.map((_, i) => ((absent >> i) & 1 ? 0 : weight))
      const options = { segments, coefficients: true, onNonFinite: 'skip' as const }
      const got = reduceSync(inputs, { op, ...options, weights })
      inputs.forEach((input, i) => weights[i] === 0 && input.fill(NaN))
      const want = reduceSync(inputs, { op, ...options })
      if (bitsOf(got.result) !== bitsOf(want.result)) throw new Error('the bits differ')
      if (JSON.stringify(got.segments) !== JSON.stringify(want.segments)) throw new Error('the reports differ')
    }),
    { numRuns: runsOf(300) },
  )
  t.pass()
})

test('an average by weights is the mean over all samples, and so is Adasum where gradients are parallel', async (t) => {
  const inputs = [Float64Array.of(1, 2), Float64Array.of(4, 8), Float64Array.of(-2, -4)]
  const weights = Float64Array.of(32, 8, 20)
  const mean = (32 * 1 + 8 * 4 + 20 * -2) / 60
  for (const reduce of [average, adasum]) {
    const { result } = await reduce(inputs, { weights })
    t.true(relativeError(result, Float64Array.of(mean, 2 * mean)) < 1e-14)
  }
})

test('an input that counts as four is a node of four equal ones', (t) => {
  const [a, b] = familyOf('a large common part', (n) => new Float64Array(n), { count: 2, length: 50, seed: 3 })
  const repeated = adasumSync([a!, a!, a!, a!, b!, b!, b!, b!])
  t.true(relativeError(adasumSync([a!, b!], { weights: [4, 4] }).result, repeated.result) < 1e-14)
  // Three to one: a tree of four has such a node on the left if the fourth leaf is absent.
  const uneven = adasumSync([a!, a!, a!, a!, b!, b!, b!, b!], { weights: [1, 1, 1, 1, 0, 0, 1, 0] })
  t.true(relativeError(adasumSync([a!, b!], { weights: [4, 1] }).result, Float64Array.from(uneven.result)) < 1e-14)
})

test('absent inputs are not looked at; if all are, the result is zero', (t) => {
  const inputs = [Float32Array.of(NaN), Float32Array.of(3)]
  t.deepEqual(adasumSync(inputs, { weights: [0, 5] }).result, Float32Array.of(3))
  t.throws(() => adasumSync(inputs, { weights: [1e-9, 5] }), { code: 'ERR_NON_FINITE' })
  t.like(adasumSync(inputs, { weights: [-0, 0] }), {
    ...{ result: Float32Array.of(0), weights: [0, 0], nonFiniteRanks: [] },
    segments: [{ orthogonality: NaN }],
  })
})

test('weights that are none, or mean nothing, are refused', async (t) => {
  const inputs = [Float32Array.of(1), Float32Array.of(2)]
  const refused = (weights: unknown, message: RegExp): void =>
    void t.throws(() => averageSync(inputs, { weights: weights as number[] }), { code: 'ERR_ARGUMENT', message })
  refused([1], /`weights` has 1 numbers for 2 inputs/)
  refused(3, /`weights` must be a list of numbers; got a number/)
  for (const bad of [-1, NaN, Infinity, 2 ** 53 + 2, '3', null])
    refused([1, bad], /weights\[1\] is .*; it must be a number from 0 to 2\^53/)
  const summed = { code: 'ERR_ARGUMENT', message: /weights is given, and op is sum: only average, adasum/ }
  t.throws(() => sumSync(inputs, { weights: [1, 1] }), summed)
  await t.throwsAsync(adasum(inputs, { weights: [1, 2], backend: 'gpu' }), { code: 'ERR_UNSUPPORTED' })
  t.deepEqual((await average(inputs, { weights: [1, 3], backend: 'auto' })).result, Float32Array.of(1.75))
})

test('with weights, too, kappa 1 is adasum and kappa 0 the sum of those that take part, bit for bit', (t) => {
  for (const family of TAME) {
    const weights = [3, 0, 0.5, 1e6, 1]
    const inputs = inputsOf({ weights, dtype: 'f32', family, segments: [3000], seed: 3 })
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
