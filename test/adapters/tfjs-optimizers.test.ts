/** AdamW and LAMB for TensorFlow.js against adasum/optim, and as tf.Optimizers: in fit, saved, and on several ranks. */
import test from 'ava'
import * as tf from '@tensorflow/tfjs-core'
import * as layers from '@tensorflow/tfjs-layers'
import {
  adamw,
  AdamWOptimizer,
  DistributedOptimizer,
  lamb,
  LambOptimizer,
  type LambOptimizerOptions,
  type Schedule,
} from '../../ts/src/adapters/tfjs/index.ts'
import * as optim from '../../ts/src/optim/index.ts'
import { makeWorld } from '../_world.ts'
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
import { equalWeights, fit, replicas, weightsOf } from './_replicas.ts'
import { gradientOn, lossOn, makeVariables, valuesOf } from './_train.ts'

const STEPS = 30
/** The bound of the largest relative L2 error of a variable after all steps. */
const TOLERANCE = 1e-6
const isMatrix = ({ shape }: { readonly shape: readonly number[] }): boolean => shape.length > 1

interface Case {
  readonly name: 'adamw' | 'lamb'
  readonly learningRate: number | Schedule
  readonly options: Omit<LambOptimizerOptions, 'decays'>
  /** Whether matrices alone decay. */
  readonly masked: boolean
}

const cosine = optim.cosine({ rate: 0.02, steps: STEPS, warmupSteps: 5 })
const CASES: readonly Case[] = [
  { name: 'adamw', learningRate: 0.01, options: {}, masked: false },
  { name: 'adamw', learningRate: cosine, options: { weightDecay: 0.3, beta1: 0.8, clipNorm: 2 }, masked: true },
  ...(['paper', 'timm', 'apex'] as const).flatMap((preset): Case[] => [
    { name: 'lamb', learningRate: 0.01, options: { preset }, masked: false },
    { name: 'lamb', learningRate: cosine, options: { preset, weightDecay: 0.1, clipNorm: 5 }, masked: true },
  ]),
  { name: 'lamb', learningRate: 0.01, options: { preset: 'timm', alwaysAdapt: true, clipNorm: null }, masked: true },
  { name: 'lamb', learningRate: 0.01, options: { maxRatio: 0.7, epsilon: 1e-3, beta2: 0.9 }, masked: false },
]

function tfOptimizer({ name, learningRate, options, masked }: Case): AdamWOptimizer | LambOptimizer {
  const all = masked ? { ...options, decays: isMatrix } : options
  return name === 'lamb' ? lamb(learningRate, all) : adamw(learningRate, all)
}

function flatOptimizer({ name, learningRate, options, masked }: Case): optim.Optimizer {
  const segments = SHAPES.map((shape, i) => ({ name: `${i}`, shape }))
  const groups = masked ? [{ matches: (segment: optim.OptimizerSegment) => !isMatrix(segment), weightDecay: 0 }] : []
  return optim[name]({ ...options, learningRate, segments, groups })
}

async function errorsOf(example: Case, initial: Float32Array, gradients: readonly Float32Array[]): Promise<number[]> {
  const [ours, flat] = [tfOptimizer(example), flatOptimizer(example)]
  const [variables, weights] = [variablesFrom(initial), initial.slice()]
  for (const gradient of gradients) {
    apply(ours, variables, gradient)
    await flat.step(weights, gradient)
  }
  const errors = partsOf(weights).map((part, i) => relativeError(valuesOf([variables[i]!]), part))
  tf.dispose(variables)
  ours.dispose()
  return errors
}

const describe = ({ name, options, masked }: Case): string => `${name} ${JSON.stringify(options)} ${masked}`

for (const backend of BACKENDS) {
  test.serial(`${backend}: ${STEPS} steps are those of adasum/optim`, async (t) => {
    await tf.setBackend(backend)
    const gradients = Array.from({ length: STEPS }, (_, step) => gradientOf(step))
    for (const example of CASES) {
      const errors = await errorsOf(example, gaussian(LENGTH, 1), gradients)
      t.true(Math.max(...errors) < TOLERANCE, `${describe(example)}: ${errors.join(' ')}`)
    }
  })

  test.serial(`${backend}: weights of 0 and gradients of 0`, async (t) => {
    await tf.setBackend(backend)
    const [zeros, some] = [new Float32Array(LENGTH), gradientOf(1)]
    for (const example of CASES) {
      for (const gradients of [
        [zeros, zeros],
        [some, zeros, some],
        [zeros, some],
      ]) {
        const errors = await errorsOf(example, zeros, gradients)
        t.true(Math.max(...errors) < TOLERANCE, `${describe(example)} from 0: ${errors.join(' ')}`)
      }
      const errors = await errorsOf(example, gaussian(LENGTH, 2), [zeros, zeros, some])
      t.true(Math.max(...errors) < TOLERANCE, `${describe(example)}: ${errors.join(' ')}`)
    }
  })

  test.serial(`${backend}: no step leaves a tensor behind, and dispose none at all`, async (t) => {
    await tf.setBackend(backend)
    for (const example of CASES) {
      const begin = tf.memory().numTensors
      const [optimizer, variables] = [tfOptimizer(example), variablesFrom(gaussian(LENGTH, 1))]
      apply(optimizer, variables, gradientOf(0))
      const { numTensors, numDataBuffers } = tf.memory()
      for (let step = 1; step < 4; step++) apply(optimizer, variables, gradientOf(step))
      t.is(tf.memory().numTensors, numTensors)
      t.is(tf.memory().numDataBuffers, numDataBuffers)
      // Its own state, which the caller may dispose of as of any other.
      const state = await optimizer.getWeights()
      await optimizer.setWeights(state)
      tf.dispose(state.map(({ tensor }) => tensor))
      apply(optimizer, variables, gradientOf(4))
      t.is(tf.memory().numTensors, numTensors)
      const [steps, ...moments] = await optimizer.getWeights()
      const others = [steps!, ...moments.map(({ name, tensor }) => ({ name, tensor: tf.clone(tensor) }))]
      await optimizer.setWeights(others)
      tf.dispose(others.map(({ tensor }) => tensor))
      t.is(tf.memory().numTensors, numTensors)
      optimizer.dispose()
      tf.dispose(variables)
      t.is(tf.memory().numTensors, begin)
    }
  })
}

for (const example of CASES) {
  test.serial(`a model trains, and a saved one goes on bit for bit: ${describe(example)}`, async (t) => {
    await tf.setBackend(PLAIN_BACKEND)
    const [x, y] = samples(t)
    const learningRate = typeof example.learningRate === 'number' ? 0.02 : optim.cosine({ rate: 0.02, steps: 64 })
    const model = makeModel(tfOptimizer({ ...example, learningRate }))
    const { history } = await model.fit(x, y, FIT)
    const losses = history['loss'] as number[]
    t.true(losses.at(-1)! < 0.8 * losses[0]!, losses.join(' '))

    const loaded = await layers.loadLayersModel(tf.io.fromMemory(await saved(model)))
    const optimizer = loaded.optimizer as LambOptimizer
    t.is(optimizer.getClassName(), model.optimizer.getClassName())
    t.is(optimizer.iterations, 32)
    if (typeof learningRate === 'function') t.is(optimizer.learningRate, learningRate(32))
    optimizer.learningRate = learningRate
    t.deepEqual(modelWeights(loaded), modelWeights(model))
    await loaded.fit(x, y, FIT)
    await model.fit(x, y, FIT)
    t.deepEqual(modelWeights(loaded), modelWeights(model))
    model.dispose()
    loaded.dispose()
  })
}

test.serial('state goes to variables of other names by position, and is refused by other shapes', async (t) => {
  await tf.setBackend(PLAIN_BACKEND)
  const [first, second] = [makeVariables(), makeVariables()]
  const [from, to] = [lamb(0.01, { preset: 'timm' }), lamb(0.01, { preset: 'timm' })]
  const step = (optimizer: tf.Optimizer, variables: tf.Variable[], index: number): unknown =>
    optimizer.minimize(lossOn(variables, 0, index), false, variables)
  for (let index = 0; index < 3; index++) step(from, first, index)
  const state = await from.getWeights()
  t.deepEqual(
    state.map(({ name }) => name),
    ['iter', ...['m', 'v'].flatMap((moment) => first.map(({ name }) => `${name}/${moment}`))],
  )
  await to.setWeights(state)
  second.forEach((variable, i) => tf.tidy(() => variable.assign(tf.clone(first[i]!))))
  const inOtherOrder = (): unknown => to.minimize(lossOn(second, 0, 3), false, second.toReversed())
  t.throws(inOtherOrder, { code: 'ERR_ARGUMENT', message: /is \[3\], and the moments.*\[4,3\]/ })
  t.deepEqual(valuesOf(second), valuesOf(first))
  for (let index = 3; index < 6; index++) {
    step(from, first, index)
    step(to, second, index)
  }
  t.deepEqual(valuesOf(second), valuesOf(first))

  const before = valuesOf((await to.getWeights()).map(({ tensor }) => tensor))
  const refused = { code: 'ERR_ARGUMENT' }
  for (const bad of [[], state.slice(1), state.slice(0, 4), [...state.slice(0, 3), ...state.slice(3).toReversed()]])
    await t.throwsAsync(to.setWeights(bad), refused)
  await t.throwsAsync(to.setWeights(undefined as never), refused)
  t.deepEqual(valuesOf((await to.getWeights()).map(({ tensor }) => tensor)), before)
})

test.serial('variables are told apart by name, whichever of them a step has', async (t) => {
  await tf.setBackend(PLAIN_BACKEND)
  const [together, apart] = [makeVariables(), makeVariables()]
  const [one, other] = [adamw(0.01), adamw(0.01)]
  const gradients = (variables: tf.Variable[], index: number): tf.NamedTensorMap => {
    const values = gradientOn(variables, lossOn(variables, 0, index))
    const [kernel, bias] = [tf.tensor(values.slice(0, 12), [4, 3]), tf.tensor1d(values.slice(12))]
    return { [variables[0]!.name]: kernel, [variables[1]!.name]: bias }
  }
  const [kernel, bias] = apart as [tf.Variable, tf.Variable]
  one.applyGradients(gradients(together, 0))
  other.applyGradients(gradients(apart, 0))
  // The second step of both, in another order, and with a gradient that is missing.
  const { [kernel.name]: ofKernel, [bias.name]: ofBias } = gradients(apart, 1)
  one.applyGradients(gradients(together, 1))
  other.applyGradients([
    { name: bias.name, tensor: ofBias! },
    { name: kernel.name, tensor: ofKernel! },
  ])
  t.deepEqual(valuesOf(apart), valuesOf(together))
  other.applyGradients([{ name: kernel.name, tensor: ofKernel! }, { name: bias.name } as never])
  t.deepEqual(valuesOf([bias]), valuesOf([together[1]!]))
  t.notDeepEqual(valuesOf([kernel]), valuesOf([together[0]!]))

  const refused = { code: 'ERR_ARGUMENT' }
  t.throws(() => one.applyGradients([{ name: 'none', tensor: ofBias! }]), { ...refused, message: /no variable none/ })
  t.throws(() => one.applyGradients([{ name: kernel.name, tensor: ofBias! }]), { ...refused, message: /is \[3\], and/ })
  t.is(one.iterations, 2)
})

test.serial('variables that were frozen at first are saved in the order of the last step', async (t) => {
  await tf.setBackend(PLAIN_BACKEND)
  const [first, second] = [gaussian(6, 1), gaussian(6, 2)].map((values) =>
    [values.slice(0, 3), values.slice(3)].map((part) => tf.tidy(() => tf.variable(tf.tensor1d(part)))),
  ) as [tf.Variable[], tf.Variable[]]
  const step = (optimizer: tf.Optimizer, variables: tf.Variable[], all = variables): unknown =>
    optimizer.minimize(() => tf.sum(tf.square(tf.concat(all))), false, variables)
  const from = lamb(0.1, { weightDecay: 0.1, decays: ({ name }) => name === first[0]!.name })
  step(from, [first[1]!], first)
  step(from, first)
  t.deepEqual(from.getConfig()['decays'], [true, false])

  const to = LambOptimizer.fromConfig(LambOptimizer, from.getConfig()) as LambOptimizer
  await to.setWeights(await from.getWeights())
  second.forEach((variable, i) => tf.tidy(() => variable.assign(tf.clone(first[i]!))))
  step(from, first)
  step(to, second)
  t.deepEqual(valuesOf(second), valuesOf(first))
})

test.serial('decays is asked once for each variable, and its answers are saved', async (t) => {
  await tf.setBackend(PLAIN_BACKEND)
  const variables = makeVariables()
  const asked: unknown[] = []
  const optimizer = adamw(0.01, { weightDecay: 0.5, decays: (variable) => (asked.push(variable), isMatrix(variable)) })
  t.throws(() => optimizer.getConfig(), { code: 'ERR_NOT_READY', message: /decays is a function/ })
  for (let step = 0; step < 3; step++) optimizer.minimize(lossOn(variables, 0, step), false, variables)
  t.deepEqual(
    asked,
    variables.map(({ name, shape }) => ({ name, shape })),
  )
  const config = optimizer.getConfig()
  t.deepEqual(config['decays'], [true, false])
  t.deepEqual(AdamWOptimizer.fromConfig(AdamWOptimizer, { ...config, customObjects: {} }).getConfig(), config)
  const limited = lamb(0.01, { preset: 'apex', maxRatio: 3, decays: [false] })
  t.deepEqual(LambOptimizer.fromConfig(LambOptimizer, limited.getConfig()).getConfig(), limited.getConfig())

  const before = valuesOf(variables)
  const refused = { code: 'ERR_ARGUMENT' }
  const stepOf = (inner: tf.Optimizer) => () => inner.minimize(lossOn(variables, 0, 0), false, variables)
  t.throws(stepOf(limited), { ...refused, message: /decays has 1 elements for variable 2/ })
  t.throws(stepOf(adamw(0.1, { decays: (() => 'yes') as never })), { ...refused, message: /decays returned a string/ })
  t.throws(stepOf(adamw(() => NaN)), { ...refused, message: /rate of step 1 is NaN/ })
  t.deepEqual(valuesOf(variables), before)
})

test('bad options', (t) => {
  const refused = { code: 'ERR_ARGUMENT' }
  for (const make of [adamw, lamb] as ((rate: unknown, options?: unknown) => unknown)[]) {
    for (const rate of [-1, NaN, Infinity, '1', undefined])
      t.throws(() => make(rate), { ...refused, message: /learningRate/ })
    for (const name of ['beta1', 'beta2', 'epsilon', 'weightDecay', 'clipNorm'])
      for (const value of [-1, NaN, '1'])
        t.throws(() => make(0.1, { [name]: value }), { ...refused, message: new RegExp(`^${name} is`) })
    t.throws(() => make(0.1, { decay: 1 }), { ...refused, message: /there is no option "decay"/ })
    t.throws(() => make(0.1, null), refused)
    for (const decays of ['bias', [1], null])
      t.throws(() => make(0.1, { decays }), { ...refused, message: /^decays is/ })
  }
  t.throws(() => lamb(0.1, { preset: 'nvlamb' as 'timm' }), { ...refused, message: /preset is nvlamb/ })
  t.throws(() => lamb(0.1, { alwaysAdapt: 1 as never }), { ...refused, message: /alwaysAdapt/ })
  t.throws(() => lamb(0.1, { maxRatio: -1 }), { ...refused, message: /maxRatio/ })
  t.throws(() => adamw(0.1, { preset: 'timm' } as never), { ...refused, message: /no option "preset"/ })
  const optimizer = adamw(0.1)
  t.throws(() => (optimizer.learningRate = -1), refused)
  t.is(optimizer.learningRate, 0.1)
})

test.serial('distribute: all ranks end with the same weights', async (t) => {
  await tf.setBackend(PLAIN_BACKEND)
  for (const make of [() => adamw(0.01), () => lamb(cosine, { preset: 'timm', decays: isMatrix })]) {
    const made = await replicas(t, 2)
    for (const { model } of made) model.compile({ optimizer: make(), loss: 'meanSquaredError', metrics: ['mse'] })
    const start = weightsOf(made[0]!)
    await Promise.all(made.map((replica) => fit(replica, { op: 'adasum' }, { epochs: 2 })))
    const end = equalWeights(t, made)
    t.true(end.every((weight) => Number.isFinite(weight)))
    t.true(relativeError(end, start) > 0.01)
  }
})

for (const mode of ['delta', 'gradient'] as const) {
  test.serial(`DistributedOptimizer, mode ${mode}: all ranks end with the same weights`, async (t) => {
    await tf.setBackend(PLAIN_BACKEND)
    const world = await makeWorld(2)
    t.teardown(() => world.close())
    const ranks = world.ranks.map((comm) => ({
      optimizer: new DistributedOptimizer(lamb(0.01, { preset: 'apex' }), comm, { op: 'adasum', mode }),
      variables: makeVariables(),
    }))
    for (let step = 0; step < 4; step++)
      await Promise.all(
        ranks.map(({ optimizer, variables }, rank) =>
          optimizer.minimizeAsync(lossOn(variables, rank, step), variables),
        ),
      )
    const [first, second] = ranks.map(({ variables }) => valuesOf(variables))
    t.deepEqual(first, second)
    t.notDeepEqual(first, valuesOf(makeVariables()))
    for (const { optimizer } of ranks) optimizer.dispose()
  })
}
