/** Muon for TensorFlow.js against adasum/optim, and as a tf.Optimizer: in fit, and saved. */
import test from 'ava'
import * as tf from '@tensorflow/tfjs-core'
import * as layers from '@tensorflow/tfjs-layers'
import {
  type DecayedVariable,
  lamb,
  muon,
  type MuonOptimizer,
  type MuonOptimizerOptions,
  type Schedule,
} from '../../ts/src/adapters/tfjs/index.ts'
import * as optim from '../../ts/src/optim/index.ts'
import { gaussian, relativeError } from '../optim/_oracle.ts'
import { BACKENDS, PLAIN_BACKEND } from './_backend.mjs'
import {
  FIT,
  LENGTH,
  SHAPES,
  apply,
  gradientOf,
  makeModel,
  modelWeights,
  partsOf,
  samples,
  saved,
  variablesFrom,
} from './_optimized.ts'
import { lossOn, makeVariables, valuesOf } from './_train.ts'

const STEPS = 20
/** The bound of the largest relative L2 error of a variable after all steps: the iterations lengthen roundings of f32. */
const TOLERANCE = 1e-5

interface Case {
  readonly learningRate: number | Schedule
  readonly options: Omit<MuonOptimizerOptions, 'decays' | 'orthogonalizes'>
  /** Whether variables of rank 4 are orthogonalized, too, and those of rank 2 do not decay. */
  readonly isDeep: boolean
}

const CASES: readonly Case[] = [
  { learningRate: 0.02, options: {}, isDeep: false },
  { learningRate: 0.02, options: { preset: 'torch' }, isDeep: false },
  { learningRate: 0.02, options: { preset: 'torch', consistentRms: 0.2, epsilon: 0.3, clipNorm: 2 }, isDeep: true },
  {
    learningRate: optim.cosine({ rate: 0.05, steps: STEPS, warmupSteps: 3 }),
    options: {
      ...{ momentum: 0.8, nesterov: false, newtonSchulzSteps: 3, coefficients: [1.5, -0.5, 0], weightDecay: 0.2 },
      adamw: { beta1: 0.8, beta2: 0.99, epsilon: 1e-4, weightDecay: 0.3, learningRateFactor: 0.5 },
    },
    isDeep: true,
  },
]
const describe = ({ options, isDeep }: Case): string => `${JSON.stringify(options)} ${isDeep}`

const isLarge = ({ shape }: DecayedVariable): boolean => shape.length > 1
const isNoMatrix = ({ shape }: DecayedVariable): boolean => shape.length !== 2

function tfOptimizer({ learningRate, options, isDeep }: Case): MuonOptimizer {
  return muon(learningRate, isDeep ? { ...options, orthogonalizes: isLarge, decays: isNoMatrix } : options)
}

function flatOptimizer({ learningRate, options, isDeep }: Case): optim.Optimizer {
  const segments = SHAPES.map((shape, i) => ({ name: `${i}`, shape }))
  const groups = [{ matches: (segment: optim.OptimizerSegment) => !isNoMatrix(segment), weightDecay: 0 }]
  const common = { preset: 'optax' as const, ...options, learningRate, segments }
  return optim.muon(isDeep ? { ...common, groups, orthogonalizes: isLarge } : common)
}

for (const backend of BACKENDS) {
  test.serial(`${backend}: ${STEPS} steps are those of adasum/optim, gradients of 0 among them`, async (t) => {
    await tf.setBackend(backend)
    for (const example of CASES) {
      const initial = gaussian(LENGTH, 1)
      const [ours, flat] = [tfOptimizer(example), flatOptimizer(example)]
      const [variables, weights] = [variablesFrom(initial), initial.slice()]
      for (let step = 0; step < STEPS; step++) {
        const gradient = step === 0 || step === 4 ? new Float32Array(LENGTH) : gradientOf(step)
        apply(ours, variables, gradient)
        await flat.step(weights, gradient)
      }
      const errors = partsOf(weights).map((part, i) => relativeError(valuesOf([variables[i]!]), part))
      t.true(Math.max(...errors) < TOLERANCE, `${describe(example)}: ${errors.join(' ')}`)
      t.true(relativeError(weights, initial) > 0.01, 'the weights have moved')
      tf.dispose(variables)
      ours.dispose()
    }
  })

  test.serial(`${backend}: no step leaves a tensor behind, and dispose none at all`, async (t) => {
    await tf.setBackend(backend)
    const begin = tf.memory().numTensors
    const [optimizer, variables] = [tfOptimizer(CASES[2]!), variablesFrom(gaussian(LENGTH, 1))]
    apply(optimizer, variables, gradientOf(0))
    const { numTensors } = tf.memory()
    for (let step = 1; step < 4; step++) apply(optimizer, variables, gradientOf(step))
    const state = await optimizer.getWeights()
    await optimizer.setWeights(state)
    tf.dispose(state.map(({ tensor }) => tensor))
    apply(optimizer, variables, gradientOf(4))
    t.is(tf.memory().numTensors, numTensors)
    optimizer.dispose()
    tf.dispose(variables)
    t.is(tf.memory().numTensors, begin)
  })
}

for (const example of CASES)
  test.serial(`a model trains, and a saved one goes on bit for bit: ${describe(example)}`, async (t) => {
    await tf.setBackend(PLAIN_BACKEND)
    const [x, y] = samples(t)
    const model = makeModel(tfOptimizer({ ...example, learningRate: 0.02 }))
    const { history } = await model.fit(x, y, FIT)
    const losses = history['loss'] as number[]
    t.true(losses.at(-1)! < losses[0]!, losses.join(' '))

    const loaded = await layers.loadLayersModel(tf.io.fromMemory(await saved(model)))
    const optimizer = loaded.optimizer as MuonOptimizer
    t.deepEqual(optimizer.getConfig(), (model.optimizer as MuonOptimizer).getConfig())
    t.is(optimizer.iterations, 32)
    await loaded.fit(x, y, FIT)
    await model.fit(x, y, FIT)
    t.deepEqual(modelWeights(loaded), modelWeights(model))
    model.dispose()
    loaded.dispose()
  })

test.serial('matrices keep no second moment, and what was saved is refused where another is one', async (t) => {
  await tf.setBackend(PLAIN_BACKEND)
  const variables = makeVariables()
  const step = (optimizer: tf.Optimizer): unknown => optimizer.minimize(lossOn(variables, 0, 0), false, variables)
  const from = muon(0.01)
  step(from)
  const state = await from.getWeights()
  const shapes = state.slice(1 + variables.length).map(({ tensor }) => tensor.shape)
  t.deepEqual(shapes, variables.map(({ shape }) => (shape.length === 2 ? [] : shape))) // prettier-ignore
  t.true(shapes.some((shape, i) => shape.length !== variables[i]!.shape.length))

  const none = muon(0.01, { orthogonalizes: () => false })
  await none.setWeights(state)
  const before = valuesOf(variables)
  t.throws(() => step(none), { code: 'ERR_ARGUMENT', message: /the moments at its place/ })
  const all = lamb(0.01)
  await t.throwsAsync(all.setWeights(state), { code: 'ERR_ARGUMENT' })
  t.deepEqual(valuesOf(variables), before)
})

test.serial('orthogonalizes is asked once for each variable, and its answers are saved', async (t) => {
  await tf.setBackend(PLAIN_BACKEND)
  const asked: DecayedVariable[] = []
  const optimizer = muon(0.01, { orthogonalizes: (variable) => (asked.push(variable), isLarge(variable)) })
  t.throws(() => optimizer.getConfig(), { code: 'ERR_NOT_READY', message: /orthogonalizes is a function/ })
  const variables = variablesFrom(gaussian(LENGTH, 1))
  for (let step = 0; step < 3; step++) apply(optimizer, variables, gradientOf(step))
  t.deepEqual(asked.map(({ shape }) => shape), SHAPES) // prettier-ignore
  t.deepEqual(optimizer.getConfig()['orthogonalizes'], [true, false, true, false])
  const bad = (options: object): void => apply(muon(0.01, options), variables, gradientOf(0))
  const before = valuesOf(variables)
  t.throws(() => bad({ orthogonalizes: () => true }), { code: 'ERR_ARGUMENT', message: /Muon takes two dimensions/ })
  t.throws(() => bad({ orthogonalizes: [true] }), { code: 'ERR_ARGUMENT', message: /orthogonalizes has 1 elements/ })
  t.deepEqual(valuesOf(variables), before)
  tf.dispose(variables)
})

test('bad options', (t) => {
  const refused: readonly [options: object, message: RegExp][] = [
    [{ preset: 'keller' }, /preset is keller/],
    [{ beta1: 0.9 }, /no option "beta1"/],
    [{ momentum: 1 }, /momentum is 1/],
    [{ coefficients: 3 }, /three finite numbers/],
    [{ newtonSchulzSteps: 1000 }, /newtonSchulzSteps is 1000/],
    [{ orthogonalizes: 'all' }, /orthogonalizes is a string/],
    [{ decays: [1] }, /decays is/],
    [{ adamw: { beta2: 2 } }, /beta2 is 2/],
    [{ adamw: { rate: 2 } }, /no option "rate"/],
    [{ weightDecay: NaN }, /weightDecay is NaN/],
  ]
  for (const [options, message] of refused)
    t.throws(() => muon(0.01, options), { code: 'ERR_ARGUMENT', message }, JSON.stringify(options))
  t.throws(() => muon(-1), { code: 'ERR_ARGUMENT', message: /learningRate/ })
})
