/** Weights in half formats with a master in f32, against halves by their definition. */
import test from 'ava'
import { adam, adamw, MasterWeights, type MasterWeightsOptions, type Optimizer, type SavedState, sgd } from '../../ts/src/optim/index.ts' // prettier-ignore
import { fc, runsOf } from '../_property.ts'
import { bitsOf } from '../_world.ts'
import { HALF_DTYPES, halvesOf, round, widen, widened } from '../reduction/_half.ts'

const SEGMENTS = [
  { name: 'kernel', shape: [3, 4] },
  { name: 'empty', shape: [0] },
  { name: 'bias', shape: [5] },
]
const COUNT = 17
const COMMON = { segments: SEGMENTS, learningRate: 0.01 }

const floats = (count: number, seed: number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => Math.sin(seed + 1.7 * i))

for (const dtype of HALF_DTYPES) {
  test(`${dtype}: steps are those of the optimizer on the master, whose nearest halves are written`, async (t) => {
    const initial = floats(COUNT, 1)
    const [sync, async] = [0, 1].map(() => new MasterWeights(adam(COMMON), { dtype, initial })) as [MasterWeights, MasterWeights] // prettier-ignore
    const [plain, master] = [adam(COMMON), initial.slice()]
    const [weights, others] = [new Uint16Array(COUNT), new Uint16Array(COUNT)]
    sync.write(weights)
    t.deepEqual(weights, halvesOf(dtype, initial))
    for (let step = 1; step <= 5; step++) {
      const halves = halvesOf(dtype, floats(COUNT, 100 + step))
      const wide = Float32Array.from(widened(dtype, halves))
      const report = plain.stepSync(master, wide)
      // As halves, or as the same numbers in f32.
      t.deepEqual(sync.stepSync(weights, step % 2 ? halves : wide), report)
      t.deepEqual(await async.step(others, step % 2 ? wide : halves), report)
      t.is(bitsOf(sync.master()), bitsOf(master))
      t.deepEqual(weights, halvesOf(dtype, master))
      t.deepEqual(others, weights)
    }
    t.is(sync.stepCount, 5)
    t.is(sync.elementCount, COUNT)
  })

  test(`${dtype}: 1,000 steps that each vanish in the halves are kept by the master`, (t) => {
    const segments = [{ name: 'w', shape: [2] }]
    const rate = 2 ** -16
    const optimizer = new MasterWeights(sgd({ segments, learningRate: rate }), { dtype, initial: Float32Array.of(1, -1) }) // prettier-ignore
    const [weights, gradient] = [new Uint16Array(2), halvesOf(dtype, [-1, 1])]
    t.is(round(dtype, 1 + rate), round(dtype, 1), 'one step alone is less than the next half')
    let naive = halvesOf(dtype, [1, -1])
    for (let step = 0; step < 1000; step++) {
      optimizer.stepSync(weights, gradient)
      naive = halvesOf(dtype, widened(dtype, naive).map((weight, i) => weight - rate * widen(dtype, gradient[i]!))) // prettier-ignore
    }
    t.deepEqual(widened(dtype, naive), Float64Array.of(1, -1), 'without a master nothing has moved')
    t.deepEqual(optimizer.master(), Float32Array.of(1 + 1000 * rate, -1 - 1000 * rate))
    t.deepEqual(weights, halvesOf(dtype, [1 + 1000 * rate, -1 - 1000 * rate]))
    t.true(widen(dtype, weights[0]!) > 1)
  })

  test(`${dtype}: every number is rounded to the nearest half, ties to even, and halves are read exactly`, (t) => {
    const numbers = fc.oneof(
      fc.float(),
      fc.integer({ min: 0, max: 0xffff }).map((bits) => widen(dtype, bits)),
      // Between two halves, or next to the middle of them.
      fc
        .tuple(fc.integer({ min: 0, max: 0x7bff }), fc.constantFrom(-1, 0, 1))
        .map(([bits, side]) => ((widen(dtype, bits) + widen(dtype, bits + 1)) / 2) * (1 + side * 2 ** -22)),
    )
    fc.assert(
      fc.property(fc.array(numbers, { minLength: 1, maxLength: 50 }), (list) => {
        const initial = Float32Array.from(list)
        const segments = [{ name: 'w', shape: [list.length] }]
        const make = (from: Float32Array | Uint16Array) => new MasterWeights(sgd({ segments, learningRate: 0 }), { dtype, initial: from }) // prettier-ignore
        const halves = new Uint16Array(list.length)
        make(initial).write(halves)
        const largest = widen(dtype, dtype === 'f16' ? 0x7bff : 0x7f7f)
        const limited = initial.map((x) => (Number.isFinite(x) ? Math.min(largest, Math.max(-largest, x)) : x))
        t.deepEqual(halves, halvesOf(dtype, limited))
        t.deepEqual(make(halves).master(), Float32Array.from(widened(dtype, halves)))
      }),
      { numRuns: runsOf(200) },
    )
  })

  test(`${dtype}: a state has the master, and goes on in another optimizer`, (t) => {
    const make = (seed: number) => new MasterWeights(adamw(COMMON), { dtype, initial: floats(COUNT, seed) })
    const [one, other] = [make(1), make(2)]
    const [weights, others] = [new Uint16Array(COUNT), new Uint16Array(COUNT)]
    one.stepSync(weights, floats(COUNT, 3))
    const state = one.state()
    t.deepEqual(Object.keys(state.arrays).toSorted(), ['m', 'master', 'v'].flatMap((what) => ['bias', 'empty', 'kernel'].map((name) => `${what}/${name}`))) // prettier-ignore
    t.deepEqual(state.arrays['master/bias'], one.master().subarray(12))
    one.stepSync(weights, floats(COUNT, 4))
    other.restore(state)
    other.write(others)
    t.deepEqual(others, halvesOf(dtype, widenedMaster(state)))
    other.stepSync(others, floats(COUNT, 4))
    t.deepEqual([others, other.state()], [weights, one.state()])
  })
}

const widenedMaster = ({ arrays }: SavedState): number[] =>
  SEGMENTS.flatMap(({ name }) => [...arrays[`master/${name}`]!])

test('long weights are converted in several calls', async (t) => {
  const count = 2 * (1 << 18) + 5
  const segments = [{ name: 'w', shape: [count] }]
  const optimizer = new MasterWeights(sgd({ segments, learningRate: 1 }), { dtype: 'bf16', initial: new Uint16Array(count) }) // prettier-ignore
  const [weights, gradient] = [new Uint16Array(count), new Uint16Array(count).fill(0xbf80)]
  await optimizer.step(weights, gradient)
  t.is(weights.indexOf(0x3f80), 0)
  t.true(weights.every((bits) => bits === 0x3f80))
})

test('the master can be replaced, and the state of the optimizer stays', (t) => {
  const optimizer = new MasterWeights(adam(COMMON), { dtype: 'bf16', initial: floats(COUNT, 1) })
  const weights = new Uint16Array(COUNT)
  optimizer.stepSync(weights, floats(COUNT, 2))
  const { arrays } = optimizer.state()
  optimizer.setMaster(floats(COUNT, 3))
  optimizer.write(weights)
  t.deepEqual(weights, halvesOf('bf16', floats(COUNT, 3)))
  t.deepEqual(optimizer.state().arrays['m/kernel'], arrays['m/kernel'])
  for (const values of [weights as unknown as Float32Array, new Float32Array(3)])
    t.throws(() => optimizer.setMaster(values), { code: 'ERR_ARGUMENT' })
  t.deepEqual(optimizer.master(), floats(COUNT, 3))
})

test('a gradient that is refused changes nothing', (t) => {
  const optimizer = new MasterWeights(sgd({ ...COMMON, clipNorm: 1 }), { dtype: 'f16', initial: floats(COUNT, 1) })
  const weights = new Uint16Array(COUNT)
  t.throws(() => optimizer.stepSync(weights, new Uint16Array(COUNT).fill(0x7c00)), { code: 'ERR_NON_FINITE' })
  t.deepEqual(optimizer.master(), floats(COUNT, 1))
  t.deepEqual(weights, new Uint16Array(COUNT))
  t.is(optimizer.stepCount, 0)
})

test('wrong arguments are refused, and what is under way is left alone', async (t) => {
  const initial = floats(COUNT, 1)
  const options = { dtype: 'bf16', initial } as const
  const code = 'ERR_ARGUMENT'
  const refusals: [unknown, unknown, RegExp][] = [
    [undefined, options, /first argument must be an optimizer/],
    [{}, options, /first argument must be an optimizer/],
    [adam({ ...COMMON, dtype: 'f64' }), options, /the optimizer is of f64; the master is f32/],
    [adam(COMMON), { ...options, dtype: 'f32' }, /dtype is f32; it must be one of f16, bf16/],
    [adam(COMMON), { dtype: 'bf16' }, /initial must be a typed array/],
    [adam(COMMON), { ...options, initial: new Float32Array(3) }, /initial has 3 elements, and the segments 17/],
    [adam(COMMON), { ...options, initial: new Float64Array(COUNT) }, /initial is f64/],
    [adam(COMMON), { ...options, format: 'bf16' }, /no option "format"/],
  ]
  for (const [optimizer, given, message] of refusals)
    t.throws(() => new MasterWeights(optimizer as Optimizer, given as MasterWeightsOptions), { code, message })

  const optimizer = new MasterWeights(adam(COMMON), options)
  const [weights, gradient] = [new Uint16Array(COUNT), floats(COUNT, 2)]
  const calls: [unknown, unknown, RegExp][] = [
    [initial, gradient, /weights is f32; it must be a Uint16Array that holds bf16/],
    [new Uint16Array(3), gradient, /weights has 3 elements/],
    [weights, new Float64Array(COUNT), /gradient is f64/],
    [weights, weights, /weights and gradient overlap/],
  ]
  for (const [w, g, message] of calls) {
    t.throws(() => optimizer.stepSync(w as Uint16Array, g as Float32Array), { code, message })
    await t.throwsAsync(optimizer.step(w as Uint16Array, g as Float32Array), { code, message })
  }
  const state = optimizer.state()
  const { 'master/bias': _, ...without } = state.arrays
  for (const arrays of [
    without,
    { ...state.arrays, more: initial },
    { ...state.arrays, 'master/bias': initial },
    { ...state.arrays, 'm/bias': initial },
  ])
    // prettier-ignore
    t.throws(() => optimizer.restore({ stepCount: 3, arrays }), { code })
  t.deepEqual(optimizer.state(), state)

  const first = optimizer.step(weights, gradient)
  for (const call of [
    () => optimizer.stepSync(weights, gradient),
    () => optimizer.write(weights),
    () => optimizer.state(),
    () => optimizer.restore(state),
    () => optimizer.setMaster(initial),
  ])
    // prettier-ignore
    t.throws(call, { code: 'ERR_NOT_READY', message: 'step 1 is under way. Await it.' })
  await first
  t.is(optimizer.stepCount, 1)
})
