/** Operators with parameters, in the local functions: against their definitions, and by what holds for them exactly. */
import test from 'ava'
import { adasumSync, averageSync, reduce, reduceSync, sumSync } from '../../ts/src/reduction/local.ts'
import type { CoefficientFunction, FloatArray, Operator } from '../../ts/src/types.ts'
import { fc, runsOf } from '../_property.ts'
import { bitsOf } from '../_world.ts'
import { HALF_DTYPES, halfFamilyOf, round, widened } from './_half.ts'
import { operatorOracle } from './_operators.ts'
import { FAMILIES, familyOf, relativeError } from './_oracle.ts'

const OPERATORS: Operator[] = [
  { name: 'adasum', kappa: 0 },
  { name: 'adasum', kappa: 0.3 },
  { name: 'adasum', kappa: 1.5 },
  { name: 'adascale' },
  { name: 'adascale', cap: 3 },
  { name: 'adacons' },
  { name: 'gaf', tau: 0.97 },
  { name: 'gaf', tau: 2 },
]
const BY_PAIRS = OPERATORS.filter(({ name }) => name === 'adasum' || name === 'adascale')
/** The mean, as a function of the caller's. */
const MEAN: Operator = { name: 'custom', coefficients: (gram) => gram.map(() => 1 / gram.length) }
const TAME = Object.keys(FAMILIES).filter((family) => !family.includes('1e-4 noise') && !family.includes('no noise'))
const NEW = {
  f32: (length: number): FloatArray => new Float32Array(length),
  f64: (length: number): FloatArray => new Float64Array(length),
}

for (const op of OPERATORS) {
  const name = JSON.stringify(op)
  for (const dtype of ['f32', 'f64'] as const)
    test(`${dtype}, ${name}: 1 to 9 inputs agree with the definition`, (t) => {
      for (const family of TAME)
        for (let count = 1; count <= 9; count++)
          for (const length of [64, 5001]) {
            const inputs = familyOf(family, NEW[dtype], { count, length, seed: count })
            const { result } = reduceSync(inputs, { op })
            const error = relativeError(result, operatorOracle(op, inputs))
            t.true(error <= (dtype === 'f32' ? 2 ** -23 : 1e-11), `${family}, ${count} x ${length}: ${error}`)
          }
    })

  for (const dtype of HALF_DTYPES)
    test(`${dtype}, ${name}: the result is that of the widened inputs, rounded once`, (t) => {
      for (const family of ['independent', 'a large common part']) {
        const inputs = halfFamilyOf(dtype, family, { count: 5, length: 300, seed: 1 })
        const wide = reduceSync(
          inputs.map((input) => widened(dtype, input)),
          { op },
        )
        const { result } = reduceSync(inputs, { op, dtype })
        t.deepEqual(
          [...result],
          [...wide.result].map((x) => round(dtype, x)),
        )
        const single = reduceSync(inputs, { op, dtype, out: new Float32Array(300) })
        t.deepEqual([...single.result], [...wide.result].map(Math.fround))
      }
    })

  test(`${name}: segments are reduced apart, and the promise has the same bits`, async (t) => {
    const inputs = familyOf('a large common part', NEW.f32, { count: 4, length: 9000, seed: 5 })
    const segments = [3000, 0, 5000, 1000]
    const whole = reduceSync(inputs, { op, segments, coefficients: true })
    let at = 0
    for (const [index, count] of segments.entries()) {
      if (count === 0) continue
      const parts = inputs.map((input) => input.subarray(at, at + count))
      const alone = reduceSync(parts, { op, coefficients: true })
      t.is(bitsOf(whole.result.slice(at, at + count)), bitsOf(alone.result))
      t.deepEqual(whole.segments[index]!.coefficients, alone.segments[0]!.coefficients)
      t.is(whole.segments[index]!.orthogonality, alone.segments[0]!.orthogonality)
      at += count
    }
    const promised = await reduce(inputs, { op, segments, coefficients: true })
    t.is(bitsOf(promised.result), bitsOf(whole.result))
    t.deepEqual(promised.segments, whole.segments)
  })

  test(`${name}: what is not finite is refused, left out, or computed on`, (t) => {
    const inputs = familyOf('independent', NEW.f32, { count: 3, length: 50, seed: 2 })
    const bad = [inputs[0]!, inputs[1]!.slice().fill(NaN, 7, 8), inputs[2]!]
    t.throws(() => reduceSync(bad, { op }), { code: 'ERR_NON_FINITE' })
    const skipped = reduceSync(bad, { op, onNonFinite: 'skip', coefficients: true })
    t.is(bitsOf(skipped.result), bitsOf(reduceSync([inputs[0]!, inputs[2]!], { op }).result))
    t.is(skipped.segments[0]!.coefficients![1], 0)
    const all = bad.map(() => bad[1]!.slice())
    t.deepEqual([...reduceSync(all, { op, onNonFinite: 'skip' }).result], new Array(50).fill(0))
    t.true([...reduceSync(bad, { op, onNonFinite: 'propagate' }).result].every(Number.isNaN))
  })
}

test('powers of two scale the result bit for bit', (t) => {
  fc.assert(
    fc.property(
      fc.constantFrom(...OPERATORS),
      fc.constantFrom(...Object.keys(FAMILIES)),
      fc.integer({ min: 1, max: 16 }),
      fc.integer({ min: -30, max: 30 }),
      fc.nat(1e6),
      (op, family, count, exponent, seed) => {
        const inputs = familyOf(family, NEW.f64, { count, length: 70, seed })
        const scaled = inputs.map((input) => Float64Array.from(input, (x) => x * 2 ** exponent))
        // The length of AdaCons' result does not depend on that of its inputs.
        const factor = op.name === 'adacons' ? 1 : 2 ** exponent
        const expected = Float64Array.from(reduceSync(inputs, { op }).result, (x) => x * factor)
        return bitsOf(reduceSync(scaled, { op }).result) === bitsOf(expected)
      },
    ),
    { numRuns: runsOf(150) },
  )
  t.pass()
})

test('kappa 1 is adasum and kappa 0 the sum, bit for bit', (t) => {
  for (const family of Object.keys(FAMILIES)) {
    const inputs = familyOf(family, NEW.f32, { count: 7, length: 3000, seed: 3 })
    const bits = (kappa: number) => bitsOf(reduceSync(inputs, { op: { name: 'adasum', kappa } }).result)
    t.is(bits(1), bitsOf(adasumSync(inputs).result))
    t.is(bits(0), bitsOf(sumSync(inputs).result))
  }
})

test('zero vectors are neutral', (t) => {
  for (const op of BY_PAIRS) {
    const [a] = familyOf('independent', NEW.f32, { count: 1, length: 40, seed: 1 })
    const zero = new Float32Array(40)
    for (const inputs of [
      [a!, zero],
      [zero, a!, zero],
    ])
      t.is(bitsOf(reduceSync(inputs, { op }).result), bitsOf(a!))
    t.deepEqual(reduceSync([zero, zero], { op }).result, zero)
  }
  const [zero, a, b] = [Float64Array.of(0, 0), Float64Array.of(3, 4), Float64Array.of(4, 3)]
  for (const op of [{ name: 'adacons' }, { name: 'gaf', tau: 1 }] as const) {
    const coefficients = (inputs: Float64Array[]) =>
      reduceSync(inputs, { op, coefficients: true }).segments[0]!.coefficients!
    const [c, d] = coefficients([a, b])
    t.deepEqual(coefficients([zero, a, zero, b]), [0, c!, 0, d!])
    t.deepEqual(coefficients([zero, zero]), [0, 0])
  }
  t.deepEqual([...reduceSync([b, zero].map((x) => Float32Array.from(x)), { op: { name: 'adacons' } }).result], [0.8, 0.6].map(Math.fround)) // prettier-ignore
  t.deepEqual([...reduceSync([zero, a], { op: { name: 'gaf', tau: 0 } }).result], [3, 4])
})

test('AdaCons: parallel inputs give their direction, and no consensus gives no step', (t) => {
  const of = (...inputs: number[][]) => [
    ...reduceSync(
      inputs.map((input) => Float64Array.from(input)),
      { op: { name: 'adacons' } },
    ).result,
  ]
  t.deepEqual(of([3, 4], [30, 40]).map(Math.fround), [0.6, 0.8].map(Math.fround))
  t.deepEqual(of([3, 4], [-3, -4]), [0, 0])
  // The mean agrees with the long one, and the directions together against it: -1 and, three times, 1.
  t.deepEqual(of([-10, 0], [1, 0], [1, 0], [1, 0]), [0, 0])
})

test('gradient agreement filtering: what does not agree is left out, in the order of the inputs', (t) => {
  const of = (tau: number, ...inputs: number[][]) =>
    reduceSync(
      inputs.map((input) => Float64Array.from(input)),
      { op: { name: 'gaf', tau }, coefficients: true },
    ).segments[0]!.coefficients!
  t.deepEqual(of(1, [1, 0], [0, 1], [1, 1]), [0.25, 0.25, 0.5])
  t.deepEqual(of(0.5, [1, 0], [0, 1], [1, 1]), [0.5, 0, 0.5])
  t.deepEqual(of(0, [1, 1], [1, 1]), [0.5, 0.5])
  t.deepEqual(of(0.9, [1, 0], [0, 1], [-1, 0]), [0, 0, 0])
  t.deepEqual(of(2, [1, 0], [-1, 0]), [0.5, 0.5])
  // What has cancelled agrees with nothing.
  t.deepEqual(of(2, [1, 0], [-1, 0], [1, 0]), [0.5, 0.5, 0])
  t.deepEqual(of(0, [1, 2]), [1])
})

test('the order of inputs changes AdaCons by rounding only', (t) => {
  const inputs = familyOf('a large common part', NEW.f64, { count: 9, length: 100, seed: 4 })
  const op = { name: 'adacons' } as const
  const turned = [...inputs.slice(4), ...inputs.slice(0, 4)]
  t.true(relativeError(reduceSync(turned, { op }).result, reduceSync(inputs, { op }).result as Float64Array) < 1e-14)
})

test('a function of the caller’s gets the matrix of the inputs that take part, and gives the coefficients', (t) => {
  const inputs = [Float32Array.of(1, 2, 5), Float32Array.of(NaN, 1, 1), Float32Array.of(3, -1, 2)]
  const seen: unknown[] = []
  const coefficients: CoefficientFunction = (gram, segment) => {
    seen.push(
      gram.map((products) => [...products]),
      structuredClone(segment),
    )
    gram[0]![0] = NaN
    const given = segment as unknown as { inputs: number[]; weights: number[] }
    given.inputs[1] = 1
    given.weights[1] = 7
    return Float32Array.of(2, -1)
  }
  const options = { segments: [2, 0, 1], onNonFinite: 'skip', coefficients: true } as const
  const { result, segments } = reduceSync(inputs, { op: { name: 'custom', coefficients }, ...options })
  t.deepEqual([...result], [2 - 3, 4 + 1, 10 - 2])
  t.deepEqual(seen, [
    [
      [5, 1],
      [1, 10],
    ],
    { name: '0', elementCount: 2, inputs: [0, 2], weights: [1, 1] },
    [
      [25, 10],
      [10, 4],
    ],
    { name: '2', elementCount: 1, inputs: [0, 2], weights: [1, 1] },
  ])
  t.deepEqual(segments[0]!.coefficients, [2, 0, -1])
  t.is(segments[0]!.orthogonality, 26 / 15)
})

test('a function that gives the coefficients of the mean gives the average', (t) => {
  const inputs = familyOf('independent', NEW.f32, { count: 5, length: 5000, seed: 8 })
  t.is(bitsOf(reduceSync(inputs, { op: MEAN, segments: [10, 4990] }).result), bitsOf(averageSync(inputs).result))
})

test('a function that throws or returns what are no coefficients fails the call, with the segment', async (t) => {
  const inputs = [Float32Array.of(1, 2), Float32Array.of(3, 4)]
  const wrong: [CoefficientFunction, RegExp][] = [
    [() => { throw new Error('no') }, /of segment 0 threw: no\./], // prettier-ignore
    [() => [1], /of segment 0 has 1 numbers for 2 inputs/],
    [() => [1, 2, 3], /of segment 0 has 3 numbers for 2 inputs/],
    [() => [1, NaN], /of segment 0: number 1 is NaN/],
    [() => [1, '2' as unknown as number], /of segment 0: number 1 is 2\. Return finite numbers/],
    [() => undefined as unknown as number[], /of segment 0 must be a list of numbers; got undefined/],
    [() => Promise.reject(new Error('late')) as unknown as number[], /of segment 0 is a promise/],
  ]
  for (const [coefficients, message] of wrong) {
    const op = { name: 'custom', coefficients } as const
    t.throws(() => reduceSync(inputs, { op }), { code: 'ERR_ARGUMENT', message })
    await t.throwsAsync(reduce(inputs, { op }), { code: 'ERR_ARGUMENT', message })
  }
})

test('operators of the whole matrix take 16 inputs', (t) => {
  const inputs = (count: number) => Array.from({ length: count }, (_, i) => Float32Array.of(1, i))
  for (const op of [{ name: 'adacons' }, { name: 'gaf', tau: 1 }, MEAN] as const) {
    t.is(reduceSync(inputs(16), { op }).result.length, 2)
    const expected = {
      code: 'ERR_UNSUPPORTED',
      message: new RegExp(`op is ${op.name}, which takes at most 16 inputs at once; there are 17`),
    }
    t.throws(() => reduceSync(inputs(17), { op }), expected)
  }
})

test('operators that are wrong are refused', (t) => {
  const inputs = [Float32Array.of(1, 2), Float32Array.of(3, 4)]
  const refused: [unknown, RegExp][] = [
    [undefined, /op is undefined/],
    [null, /op is null/],
    ['damped', /op is damped; it must be one of sum, average, adasum, min, max, or an operator/],
    ['max', /op is max, which has no local function/],
    [{}, /op\.name is undefined; it must be one of adasum, adascale, adacons, gaf, custom/],
    [{ name: 'sum' }, /op\.name is sum/],
    [{ name: 'adasum' }, /op\.kappa is undefined; it must be a number from 0 to 2/],
    [{ name: 'adasum', kappa: -0.1 }, /op\.kappa is -0\.1/],
    [{ name: 'adasum', kappa: 2.5 }, /op\.kappa is 2\.5/],
    [{ name: 'adasum', kappa: NaN }, /op\.kappa is NaN/],
    [{ name: 'adasum', kappa: '1' }, /op\.kappa is 1/],
    [{ name: 'adasum', kappa: 1, tau: 1 }, /op has no parameter "tau"\. With name 'adasum' it takes kappa/],
    [{ name: 'gaf' }, /op\.tau is undefined; it must be a number from 0 to 2/],
    [{ name: 'gaf', tau: 3 }, /op\.tau is 3/],
    [{ name: 'adacons', tau: 3 }, /op has no parameter "tau"\. With name 'adacons' it takes none/],
    [{ name: 'custom' }, /op\.coefficients must be a function; got undefined/],
    [{ name: 'custom', coefficients: [1, 2] }, /op\.coefficients must be a function; got a plain array/],
    [{ name: 'adascale', cap: 0.5 }, /op\.cap is 0\.5; it must be a number from 1 to 100/],
    [{ name: 'adascale', cap: Infinity }, /op\.cap is Infinity/],
    [
      {
        get name() {
          throw new Error('no')
        },
      },
      /op cannot be read: no/,
    ],
  ]
  for (const [op, message] of refused)
    t.throws(() => reduceSync(inputs, { op: op as Operator }), { code: 'ERR_ARGUMENT', message })
})

test('a GPU is refused', async (t) => {
  const inputs = [Float32Array.of(1, 2), Float32Array.of(3, 4)]
  const op = { name: 'adascale' } as const
  const expected = {
    code: 'ERR_UNSUPPORTED',
    message: /op is adascale, a GPU computes sum, average, adasum\. Use backend 'cpu'/,
  }
  await t.throwsAsync(reduce(inputs, { op, backend: 'gpu' }), expected)
  t.throws(() => reduceSync(inputs, { op, backend: 'gpu' }), { code: 'ERR_UNSUPPORTED', message: /Use reduce,/ })
  t.deepEqual((await reduce(inputs, { op, backend: 'auto' })).result, reduceSync(inputs, { op }).result)
})
