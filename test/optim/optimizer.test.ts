import test from 'ava'
import { type Optimizer, type OptimizerOptions, adam, adamw, lamb, muon, sgd } from '../../ts/src/optim/index.ts'
import { fc, runsOf } from '../_property.ts'

const SEGMENTS = [
  { name: 'kernel', shape: [3, 4] },
  { name: 'bias', shape: [4] },
  { name: 'empty', shape: [0, 7] },
  { name: 'scale', shape: [] },
]
const COUNT = 17
const COMMON = { segments: SEGMENTS, learningRate: 0.1 }

const MAKERS: Record<string, (options: OptimizerOptions) => Optimizer> = {
  sgd,
  momentum: (options) => sgd({ ...options, momentum: 0.9, nesterov: true }),
  adam,
  adamw,
  lamb: (options) => lamb({ ...options, weightDecay: 0.1 }),
  muon,
}

const floats = (count: number, seed: number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => Math.sin(seed + 1.7 * i))

for (const [name, make] of Object.entries(MAKERS)) {
  test(`${name}: both forms give the same bits, and the state goes on elsewhere`, async (t) => {
    const [one, other, late] = [make(COMMON), make(COMMON), make(COMMON)]
    const weights = floats(COUNT, 1)
    const [others, resumed] = [weights.slice(), weights.slice()]
    for (let step = 1; step <= 10; step++) {
      const gradient = floats(COUNT, 100 + step)
      const report = one.stepSync(weights, gradient)
      t.deepEqual(await other.step(others, gradient), report)
      t.deepEqual(report, { step, learningRate: 0.1 })
      if (step > 5) late.stepSync(resumed, gradient)
      if (step !== 5) continue
      resumed.set(weights)
      late.restore(one.state())
    }
    t.deepEqual(others, weights)
    t.deepEqual(resumed, weights)
    t.deepEqual(late.state(), one.state())
    t.is(one.stepCount, 10)
  })

  test(`${name}: long segments are stepped in several calls, with the same bits as short ones`, async (t) => {
    const count = (1 << 19) + 5003
    const isBySegment = name === 'lamb'
    const whole = make({ ...COMMON, segments: [{ name: 'all', shape: [count] }] })
    const cut = make({
      ...COMMON,
      segments: isBySegment
        ? [{ name: 'all', shape: [count] }, { name: 'more', shape: [9] }]
        : [{ name: 'a', shape: [1001] }, { name: 'b', shape: [count - 1001] }, { name: 'more', shape: [9] }], // prettier-ignore
    })
    const [weights, gradient] = [floats(count + 9, 1), floats(count + 9, 2)]
    const [first, other] = [weights.slice(0, count), weights.slice()]
    whole.stepSync(first, gradient.subarray(0, count))
    await cut.step(other, gradient)
    t.deepEqual(other.subarray(0, count), first)
    const before = floats(count + 9, 1)
    t.is(
      other.findIndex((weight, i) => weight === before[i] && Math.abs(gradient[i]!) > 0.01),
      -1,
      'each weight is moved',
    )
  })
}

test('the presets of LAMB are the defaults that they name', (t) => {
  const presets = {
    paper: { weightDecay: 0, alwaysAdapt: true },
    timm: { weightDecay: 0.01, clipNorm: 1, alwaysAdapt: false },
    apex: { weightDecay: 0.01, clipNorm: 1, alwaysAdapt: false },
  } as const
  const groups = [{ matches: ({ name }: { name: string }) => name === 'bias', weightDecay: 0 }]
  const step = (options: object): Float32Array => {
    const weights = floats(COUNT, 1)
    lamb({ ...COMMON, groups, ...options }).stepSync(weights, floats(COUNT, 2))
    return weights
  }
  for (const [preset, options] of Object.entries(presets)) {
    t.deepEqual(step({ preset }), step({ beta1: 0.9, beta2: 0.999, epsilon: 1e-6, ...options }))
    if (preset === 'paper') t.deepEqual(step({ preset }), step({}))
    else t.notDeepEqual(step({ preset }), step({}))
  }
})

test('groups have their own decay and rate; a segment is in the first that matches', (t) => {
  const groups = [
    { matches: ({ shape }: { shape: readonly number[] }) => shape.length < 2, weightDecay: 0 },
    { matches: ({ name }: { name: string }) => name !== 'bias', learningRateFactor: 0.5 },
  ]
  const optimizer = adamw({ ...COMMON, weightDecay: 0.2, groups })
  const weights = floats(COUNT, 3)
  const before = weights.slice()
  // Without a gradient what is left is the decay.
  optimizer.stepSync(weights, new Float32Array(COUNT))
  t.deepEqual(weights.subarray(12), before.subarray(12))
  const keep = Math.fround(1 - 0.05 * 0.2)
  t.deepEqual(weights.subarray(0, 12), before.subarray(0, 12).map((weight) => keep * weight)) // prettier-ignore
})

test('clipNorm scales the whole gradient to its limit, and the report says its norm', (t) => {
  fc.assert(
    fc.property(fc.double({ min: 0.01, max: 10, noNaN: true }), fc.nat(1000), (clipNorm, seed) => {
      const gradient = floats(COUNT, seed)
      const norm = Math.sqrt(gradient.reduce((sum, x) => sum + x * x, 0))
      const weights = new Float32Array(COUNT)
      const report = sgd({ ...COMMON, learningRate: 1, clipNorm }).stepSync(weights, gradient)
      t.true(Math.abs(report.gradientNorm! - norm) < 1e-12 * norm)
      const scale = Math.fround(Math.min(1, clipNorm / report.gradientNorm!))
      t.deepEqual(weights, gradient.map((x) => 0 - Math.fround(scale * x))) // prettier-ignore
    }),
    { numRuns: runsOf(50) },
  )
})

test('clipValue limits each element, after clipNorm', (t) => {
  const weights = new Float32Array(2)
  const segments = [{ name: 'w', shape: [2] }]
  sgd({ segments, learningRate: 1, clipNorm: 5, clipValue: 3.5 }).stepSync(weights, Float32Array.of(6, -8))
  t.deepEqual([...weights], [-3, 3.5])
})

test('a gradient that is not finite changes nothing if its norm is limited', async (t) => {
  for (const bad of [NaN, Infinity]) {
    const optimizer = adam({ ...COMMON, clipNorm: 1 })
    const weights = floats(COUNT, 1)
    const gradient = floats(COUNT, 2)
    optimizer.stepSync(weights, gradient)
    const [before, state] = [weights.slice(), optimizer.state()]
    gradient[5] = bad
    t.throws(() => optimizer.stepSync(weights, gradient), {
      code: 'ERR_NON_FINITE',
      message: /step 2 is (NaN|Infinity)/,
    })
    await t.throwsAsync(optimizer.step(weights, gradient), { code: 'ERR_NON_FINITE' })
    t.deepEqual([weights, optimizer.state()], [before, state])
    gradient[5] = 0
    t.is((await optimizer.step(weights, gradient)).step, 2)
  }
})

test('one step at a time', async (t) => {
  const optimizer = adam(COMMON)
  const [weights, gradient] = [floats(COUNT, 1), floats(COUNT, 2)]
  const pending = optimizer.step(weights, gradient)
  t.throws(() => optimizer.stepSync(weights, gradient), { code: 'ERR_NOT_READY', message: /step 1 is under way/ })
  t.throws(() => optimizer.state(), { code: 'ERR_NOT_READY' })
  t.throws(() => optimizer.restore({ stepCount: 0, arrays: {} }), { code: 'ERR_NOT_READY' })
  await t.throwsAsync(optimizer.step(weights, gradient), { code: 'ERR_NOT_READY' })
  await pending
  t.is((await optimizer.step(weights, gradient)).step, 2)
})

test('memory that is transferred away ends the step with an error, and the state has to be restored', async (t) => {
  const count = 40 << 19
  const optimizer = adam({ ...COMMON, segments: [{ name: 'w', shape: [count] }] })
  const saved = { stepCount: 0, arrays: { 'm/w': new Float32Array(count), 'v/w': new Float32Array(count) } }
  const [weights, gradient] = [new Float32Array(count), new Float32Array(count)]
  const pending = optimizer.step(weights, gradient)
  setImmediate(() => structuredClone(weights.buffer, { transfer: [weights.buffer] }))
  await t.throwsAsync(pending, { code: 'ERR_ARGUMENT', message: /transferred away/ })
  const more = new Float32Array(count)
  t.throws(() => optimizer.stepSync(more, gradient), { code: 'ERR_NOT_READY', message: /failed halfway/ })
  optimizer.restore(saved)
  t.is(optimizer.stepSync(more, gradient).step, 1)
})

const REFUSED: readonly [what: string, run: () => unknown, message: RegExp][] = [
  ['no options', () => adam(undefined as never), /options must be an object/],
  ['a misspelt option', () => adam({ ...COMMON, lr: 1 } as never), /no option "lr"/],
  ['no segments', () => adam({ learningRate: 1 } as never), /segments must be an array; got undefined/],
  ['a segment without a shape', () => adam({ ...COMMON, segments: [{ name: 'a' } as never] }), /segments\[0\].shape/],
  ['a fractional length', () => adam({ ...COMMON, segments: [{ name: 'a', shape: [1.5] }] }), /1.5/],
  ['a name that is no text', () => adam({ ...COMMON, segments: [{ name: 7 as never, shape: [1] }] }), /name must be/],
  [
    'the same name twice',
    () => adam({ ...COMMON, segments: [{ name: 'a', shape: [1] }, { name: 'a', shape: [2] }] }), // prettier-ignore
    /two segments are named a/,
  ],
  ['a beta of 1', () => adam({ ...COMMON, beta2: 1 }), /beta2 is 1; .* less than 1/],
  ['a decay below zero', () => adamw({ ...COMMON, weightDecay: -1 }), /weightDecay is -1/],
  ['an unknown preset', () => lamb({ ...COMMON, preset: 'nvidia' as never }), /preset is nvidia/],
  ['an unknown dtype', () => sgd({ ...COMMON, dtype: 'f16' as never }), /dtype is f16; it must be one of f32, f64/],
  ['nesterov without momentum', () => sgd({ ...COMMON, nesterov: true }), /momentum above 0/],
  ['a limit that is no number', () => sgd({ ...COMMON, clipNorm: NaN }), /clipNorm is NaN/],
  ['groups that are no list', () => sgd({ ...COMMON, groups: {} as never }), /groups must be an array/],
  ['a group that matches nothing', () => sgd({ ...COMMON, groups: [{} as never] }), /groups\[0\].matches/],
  [
    'a rate that is not finite',
    () => sgd({ ...COMMON, learningRate: () => NaN }).stepSync(floats(COUNT, 1), floats(COUNT, 2)),
    /learning rate of step 1 is NaN/,
  ],
  ['weights that are too short', () => sgd(COMMON).stepSync(floats(16, 1), floats(COUNT, 1)), /weights has 16 .* 17/],
  ['another dtype', () => sgd(COMMON).stepSync(new Float64Array(COUNT), floats(COUNT, 1)), /weights is f64, .* f32/],
  ['no array', () => sgd(COMMON).stepSync([1] as never, floats(COUNT, 1)), /weights must be a typed array/],
  [
    'one array for both',
    () => {
      const array = floats(COUNT, 1)
      return sgd(COMMON).stepSync(array, array)
    },
    /overlap/,
  ],
  ['no state', () => adam(COMMON).restore(undefined as never), /state cannot be read/],
  ['a state without arrays', () => adam(COMMON).restore({ stepCount: 1, arrays: {} }), /m\/kernel must be/],
  ['the state of another rule', () => sgd(COMMON).restore(adam(COMMON).state()), /the state has m\/kernel/],
  ['half a step', () => sgd(COMMON).restore({ stepCount: 0.5, arrays: {} }), /stepCount is 0.5/],
]

for (const [what, run, message] of REFUSED)
  test(`refused: ${what}`, (t) => void t.throws(run, { code: 'ERR_ARGUMENT', message }))

test('a state that does not fit changes nothing', (t) => {
  const optimizer = adam(COMMON)
  optimizer.stepSync(floats(COUNT, 1), floats(COUNT, 2))
  const before = optimizer.state()
  const arrays = { ...before.arrays, 'v/scale': new Float32Array(2), 'm/kernel': new Float32Array(12) }
  t.throws(() => optimizer.restore({ stepCount: 7, arrays }), {
    message: /v\/scale has 2 elements, and its segment 1/,
  })
  t.deepEqual(optimizer.state(), before)
})
