import test from 'ava'
import { type MuonOptions, type OptimizerSegment, adamw, muon } from '../../ts/src/optim/index.ts'

const MATRIX = { name: 'kernel', shape: [3, 4] }
const SEGMENTS = [{ name: 'bias', shape: [4] }, MATRIX, { name: 'scale', shape: [] }, { name: 'other', shape: [5, 2] }]
const COUNT = 27
const COMMON = { segments: SEGMENTS, learningRate: 0.1 }

const floats = (count: number, seed: number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => Math.sin(seed + 1.7 * i))

/** The weights after some steps on the same gradients. */
function after(options: Partial<MuonOptions>, steps = 3, count = COUNT): Float32Array {
  const optimizer = muon({ ...COMMON, ...options })
  const weights = floats(count, 1)
  for (let step = 1; step <= steps; step++) optimizer.stepSync(weights, floats(count, 100 + step))
  return weights
}

test('matrices keep a momentum, and all else what AdamW keeps, which steps it', (t) => {
  const optimizer = muon(COMMON)
  const weights = floats(COUNT, 1)
  optimizer.stepSync(weights, floats(COUNT, 2))
  const { arrays } = optimizer.state()
  t.deepEqual(
    Object.entries(arrays).map(([name, { length }]) => [name, length]),
    [
      ['m/bias', 4],
      ['momentum/kernel', 12],
      ['m/scale', 1],
      ['momentum/other', 10],
      ['v/bias', 4],
      ['v/scale', 1],
    ],
  )
  const [first, alone] = [floats(COUNT, 1), adamw(COMMON)]
  alone.stepSync(first, floats(COUNT, 2))
  for (const [begin, end] of [
    [0, 4],
    [16, 17],
  ] as const)
    // prettier-ignore
    t.deepEqual(weights.subarray(begin, end), first.subarray(begin, end))
  const state = alone.state().arrays
  for (const name of ['m/bias', 'v/bias', 'm/scale', 'v/scale']) t.deepEqual(arrays[name], state[name], name)
  t.deepEqual(arrays['momentum/kernel'], floats(COUNT, 2).subarray(4, 16).map((g) => Math.fround(0.05) * g)) // prettier-ignore
})

test('a preset is its defaults, and the two differ in their conventions', (t) => {
  const common = { momentum: 0.95, nesterov: true, newtonSchulzSteps: 5, consistentRms: null }
  const coefficients = [3.4445, -4.775, 2.0315] as const
  const presets = {
    torch: { epsilon: 1e-7, weightDecay: 0.1, adamw: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 } },
    optax: { epsilon: 1e-8, weightDecay: 0, adamw: { weightDecay: 0, learningRateFactor: 1 } },
  } as const
  for (const preset of ['torch', 'optax'] as const)
    t.deepEqual(after({ preset, ...common, coefficients, ...presets[preset] }), after({ preset }))
  t.deepEqual(after({ preset: 'torch' }), after({}))
  const tall = { segments: [{ name: 'tall', shape: [8, 2] }], weightDecay: 0, nesterov: false, epsilon: 0 }
  const [torch, optax] = (['torch', 'optax'] as const).map((preset) => after({ ...tall, preset }, 1, 16))
  const before = floats(16, 1)
  // One step without nesterov: the same direction, which only PyTorch lengthens, since there a row is an output.
  for (const [i, weight] of before.entries())
    t.true(Math.abs(torch![i]! - weight - 2 * (optax![i]! - weight)) < 1e-5, `element ${i}`)
})

test('what has more dimensions is a matrix of outputs and all others, if asked for', (t) => {
  const orthogonalizes = ({ shape }: OptimizerSegment): boolean => shape.length > 1
  const deep = [{ name: 'conv', shape: [2, 3, 4] }]
  for (const [preset, shape] of [
    ['torch', [2, 12]],
    ['optax', [6, 4]],
  ] as const)
    // prettier-ignore
    t.deepEqual(
      after({ preset, segments: deep, orthogonalizes }, 3, 24),
      after({ preset, segments: [{ name: 'conv', shape }] }, 3, 24),
    )
  const [moments, own] = [muon({ ...COMMON, segments: deep }), muon({ ...COMMON, segments: deep, orthogonalizes })]
  t.deepEqual(Object.keys(moments.state().arrays), ['m/conv', 'v/conv'])
  t.deepEqual(Object.keys(own.state().arrays), ['momentum/conv'])
})

test('decay, rates and clipping are those of the segment', (t) => {
  const groups = [{ matches: ({ name }: OptimizerSegment) => name === 'other', weightDecay: 0, learningRateFactor: 0 }]
  const optimizer = muon({ ...COMMON, groups, weightDecay: 0.2, adamw: { weightDecay: 0.4, learningRateFactor: 0.5 } })
  const weights = floats(COUNT, 3)
  const before = weights.slice()
  // Without a gradient what is left is the decay: a matrix of zeros stays one.
  optimizer.stepSync(weights, new Float32Array(COUNT))
  const keep = Math.fround(1 - 0.1 * 0.2)
  const expected = before.map((weight, i) => (i >= 17 ? weight : keep * weight))
  t.deepEqual(weights, expected)

  const gradient = floats(COUNT, 4)
  const clipped = gradient.map((x) => Math.max(-0.25, Math.min(0.25, x)))
  const [one, other] = [muon({ ...COMMON, clipValue: 0.25 }), muon(COMMON)]
  const [ours, theirs] = [before.slice(), before.slice()]
  one.stepSync(ours, gradient)
  other.stepSync(theirs, clipped)
  t.deepEqual(ours, theirs)
})

test('consistentRms is the root mean square of a step, nearly', (t) => {
  const segments = [{ name: 'kernel', shape: [64, 96] }]
  const before = floats(64 * 96, 1)
  const random = Float32Array.from(before, (_, i) => Math.sin(i * i * 0.37) + Math.cos(i * 1.13 * i))
  const weights = before.slice()
  muon({ segments, learningRate: 1, weightDecay: 0, consistentRms: 0.2 }).stepSync(weights, random)
  const squares = weights.reduce((sum, weight, i) => sum + (weight - before[i]!) ** 2, 0)
  const rms = Math.sqrt(squares / weights.length)
  t.true(rms > 0.2 * 0.7 && rms < 0.2 * 1.2, `${rms}`)
})

test('a large matrix has the same bits off this thread, where the event loop turns meanwhile', async (t) => {
  const segments = [{ name: 'large', shape: [700, 800] }, { name: 'bias', shape: [9] }] // prettier-ignore
  const count = 560_009
  const [weights, gradient] = [floats(count, 1), floats(count, 2)]
  const [one, other] = [muon({ ...COMMON, segments }), muon({ ...COMMON, segments })]
  const others = weights.slice()
  let turns = 0
  const timer = setInterval(() => turns++, 1)
  await one.step(weights, gradient)
  clearInterval(timer)
  other.stepSync(others, gradient)
  t.true(turns > 1, `the event loop turned ${turns} times`)
  t.deepEqual(weights, others)
  t.deepEqual(one.state(), other.state())

  const pending = one.step(weights, gradient)
  setImmediate(() => structuredClone(weights.buffer, { transfer: [weights.buffer as ArrayBuffer] }))
  await t.throwsAsync(pending, { code: 'ERR_ARGUMENT', message: /transferred away/ })
  t.throws(() => one.state(), { code: 'ERR_NOT_READY' })
})

const REFUSED: readonly [what: string, options: object, message: RegExp][] = [
  ['an unknown preset', { preset: 'keller' }, /preset is keller; it must be one of torch, optax/],
  ['a momentum of 1', { momentum: 1 }, /momentum is 1/],
  ['nesterov that is a number', { nesterov: 1 }, /nesterov is 1/],
  ['a negative epsilon', { epsilon: -1 }, /epsilon is -1/],
  ['two coefficients', { coefficients: [1, 2] }, /coefficients is .* three finite numbers/],
  ['a coefficient that is NaN', { coefficients: [1, 2, NaN] }, /three finite numbers/],
  ['half an iteration', { newtonSchulzSteps: 2.5 }, /newtonSchulzSteps is 2.5/],
  ['too many iterations', { newtonSchulzSteps: 101 }, /newtonSchulzSteps is 101; .* 100/],
  ['a root mean square that is a text', { consistentRms: '0.2' }, /consistentRms is 0.2/],
  ['orthogonalizes that is a list', { orthogonalizes: ['kernel'] }, /orthogonalizes must be a function/],
  ['a bias as a matrix', { orthogonalizes: () => true }, /segment bias is \[4\], and Muon takes two dimensions/],
  ['an unknown option of AdamW', { adamw: { momentum: 1 } }, /no option "momentum"/],
  ['no options of AdamW', { adamw: 7 }, /options must be an object/],
  ['a decay of AdamW below zero', { adamw: { weightDecay: -1 } }, /adamw.weightDecay is -1/],
  ['a beta of 1', { adamw: { beta1: 1 } }, /beta1 is 1/],
]
for (const [what, options, message] of REFUSED)
  test(`refused: ${what}`, (t) =>
    void t.throws(() => muon({ ...COMMON, ...options }), { code: 'ERR_ARGUMENT', message }))

test('the state of another optimizer is refused', (t) => {
  t.throws(() => muon(COMMON).restore(adamw(COMMON).state()), { code: 'ERR_ARGUMENT', message: /m\/kernel/ })
})
