/** What examples/browser draws of a loss that grows: not a flat line at the end of the axis. */
import { join } from 'node:path'
import test from 'ava'
import { sum, adasum } from '../../ts/src/index.ts'
import { fc } from '../_property.ts'
import { ROOT } from '../_user-folder.ts'

interface Axis {
  least: number
  most: number
  ticks: number[]
  shareOf: (value: number) => number
  format: (value: number) => string
}

interface Scale {
  linearAxis: (least: number, most: number) => Axis
  logarithmicAxis: (values: number[]) => Axis
  divergedAt: (losses: number[], meanOf: (losses: number[]) => number[]) => number | undefined
}

interface Model {
  SEGMENTS: number[]
  randomOf: (seed: number) => () => number
  makeSpirals: (count: number, random: () => number) => object
  makeWeights: (random: () => number) => Float32Array
  lossAndGradient: (
    weights: Float32Array,
    points: object,
    indices: number[],
  ) => { loss: number; gradient: Float32Array<ArrayBuffer> }
}

const load = async <M>(name: string): Promise<M> => (await import(join(ROOT, 'examples', 'browser', name))) as M
const { linearAxis, logarithmicAxis, divergedAt } = await load<Scale>('scale.mjs')
const { runningMean } = await load<{ runningMean: (values: number[]) => number[] }>('chart.mjs')
const { SEGMENTS, randomOf, makeSpirals, makeWeights, lossAndGradient } = await load<Model>('model.mjs')

test('a larger loss is drawn higher, however large the losses are', (t) => {
  const loss = fc.double({ min: 1e-6, max: 1e12, noNaN: true })
  const property = fc.property(fc.array(loss, { minLength: 2, maxLength: 50 }), (losses) => {
    const axis = logarithmicAxis(losses)
    const sorted = losses.toSorted((a, b) => a - b)
    sorted.slice(1).forEach((larger, i) => {
      const [low, high] = [sorted[i]!, larger].map(axis.shareOf) as [number, number]
      if (larger > 1.001 * sorted[i]!) t.true(high > low, `${sorted[i]} and ${larger} at ${low} and ${high}`)
    })
    t.true(axis.ticks.length <= 7 && axis.ticks.every((tick) => tick >= axis.least && tick <= 1.01 * axis.most))
  })
  fc.assert(property, { numRuns: 200 })
})

test('what has no place on the axis does not move its ends', (t) => {
  const { least, most, shareOf } = logarithmicAxis([0.5, 2, NaN, Infinity, 0])
  t.deepEqual([least, most, shareOf(0), shareOf(10)], [0.1, 10, 0, 1])
  const empty = logarithmicAxis([])
  t.deepEqual([empty.least, empty.most], [0.1, 1])
})

test('ticks are written as people write them', (t) => {
  const { ticks, format } = logarithmicAxis([0.0005, 12_345])
  t.deepEqual(ticks.map(format), ['1e-4', '0.01', '1', '100', '1e+4'])
  const linear = linearAxis(0, 1)
  t.deepEqual(linear.ticks.map(linear.format), ['0.00', '0.25', '0.50', '0.75', '1.00'])
  t.is(linear.shareOf(0.25), 0.25)
})

test('a loss has diverged once its mean passes twice the first one, or is no number', (t) => {
  const asTheyAre = (losses: number[]): number[] => losses
  t.is(divergedAt([], asTheyAre), undefined)
  t.is(divergedAt([0.7, 1.4, 0.1], asTheyAre), undefined)
  t.is(divergedAt([0.7, 0.6, 1.5, 0.1], asTheyAre), 3)
  t.is(divergedAt([0.7, NaN], asTheyAre), 2)
  t.is(divergedAt([0.7, Infinity], asTheyAre), 2)
  const one = [0.7, 0.6, 3, ...new Array<number>(20).fill(0.5)]
  t.is(divergedAt(one, runningMean), undefined, 'a single bad micro-batch is no divergence')
})

/** The example's training: its losses, step by step. */
async function train(combine: typeof sum, rate: number, steps: number): Promise<number[]> {
  const points = makeSpirals(400, randomOf(7))
  const weights = makeWeights(randomOf(1))
  const [velocity, random, losses] = [new Float32Array(weights.length), randomOf(2), [] as number[]]
  for (let step = 0; step < steps; step++) {
    const indices = (): number[] => Array.from({ length: 24 }, () => Math.floor(random() * 400))
    const parts = Array.from({ length: 8 }, () => lossAndGradient(weights, points, indices()))
    const inputs = parts.map(({ gradient }) => gradient)
    const { result } = await combine(inputs, { segments: SEGMENTS })
    for (let i = 0; i < weights.length; i++) {
      velocity[i] = 0.9 * velocity[i]! + result[i]!
      weights[i]! -= rate * velocity[i]!
    }
    losses.push(parts.reduce((total, { loss }) => total + loss, 0) / parts.length)
  }
  return losses
}

test('the example diverges by sum at 0.3, and says so; by Adasum it does not', async (t) => {
  const losses = await train(sum, 0.3, 150)
  t.true(divergedAt(losses, runningMean)! < 60)
  t.true(logarithmicAxis(losses).most >= Math.max(...losses))
  t.is(divergedAt(await train(adasum, 0.3, 150), runningMean), undefined)
})
