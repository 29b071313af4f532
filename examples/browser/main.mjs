/**
 * Trains in this tab. Each step takes the gradients of several micro-batches and combines them into one update, layer by
 * layer, by the operator that is chosen. Nothing is sent anywhere.
 */
import { adasum, average, sum } from 'adasum'
import { drawPlane, lineChart, runningMean } from './chart.mjs'
import {
  LAYERS,
  SEGMENTS,
  accuracyOf,
  lossAndGradient,
  makeSpirals,
  makeWeights,
  probabilityOf,
  randomOf,
} from './model.mjs'
import { divergedAt, linearAxis, logarithmicAxis } from './scale.mjs'

const OPERATORS = { adasum, sum, average }
const POINT_COUNT = 400
const MICRO_BATCHES = 8
const MICRO_BATCH_POINTS = 24
const MOMENTUM = 0.9
/** The part of one frame for training; the rest is for drawing. */
const FRAME_MS = 10

const byId = (id) => document.getElementById(id)
const stepCount = Number(new URLSearchParams(location.search).get('steps') ?? 1500)
const points = makeSpirals(POINT_COUNT, randomOf(7))
/** One value a step, the mean of its micro-batches. */
const losses = []
const loss = lineChart(byId('loss'), { colours: ['--loss'], stepCount, axisOf: logarithmicAxis })
const orthogonality = lineChart(byId('orthogonality'), {
  colours: LAYERS.map((_, layer) => `--layer-${layer}`),
  stepCount,
  axisOf: () => linearAxis(0, 1),
})

/** Changes with every start: what an older run still awaits is then for nothing. */
let current = 0
let weights = makeWeights(randomOf(1))

function draw() {
  const diverged = divergedAt(losses, runningMean)
  loss.draw(diverged === undefined ? undefined : { step: diverged, words: `diverged at step ${diverged}` })
  orthogonality.draw()
  drawPlane(byId('plane'), (x, y) => probabilityOf(weights, x, y), points)
}

function show(step) {
  const accuracy = accuracyOf(weights, points)
  const diverged = divergedAt(losses, runningMean)
  const words =
    diverged === undefined ? '' : `; diverged at step ${diverged}, where the loss passed twice its first value`
  byId('status').textContent =
    `step ${step} of ${stepCount}, ${(100 * accuracy).toFixed(1)} % of the points classified correctly${words}`
  document.body.dataset.accuracy = String(accuracy)
  document.body.dataset.divergedAt = String(diverged ?? '')
  draw()
}

/** One update from several micro-batches: the losses' mean, and what Adasum says of the gradients' directions. */
async function trainStep(operator, { rate, random, velocity }) {
  const parts = Array.from({ length: MICRO_BATCHES }, () => {
    const indices = Array.from({ length: MICRO_BATCH_POINTS }, () => Math.floor(random() * POINT_COUNT))
    return lossAndGradient(weights, points, indices)
  })
  const gradients = parts.map(({ gradient }) => gradient)
  const { result, segments } = await OPERATORS[operator](gradients, { segments: SEGMENTS })
  // Only Adasum reports it; for the others it is worked out, so that the lines can be compared.
  const report = operator === 'adasum' ? segments : (await adasum(gradients, { segments: SEGMENTS })).segments
  for (let i = 0; i < weights.length; i++) {
    velocity[i] = MOMENTUM * velocity[i] + result[i]
    weights[i] -= rate * velocity[i]
  }
  losses.push(parts.reduce((total, part) => total + part.loss, 0) / MICRO_BATCHES)
  loss.add(losses.at(-1))
  orthogonality.add(...report.map((segment) => segment.orthogonality))
}

async function train() {
  const run = ++current
  const operator = byId('operator').value
  const state = { rate: Number(byId('rate').value), random: randomOf(2), velocity: new Float32Array(weights.length) }
  weights = makeWeights(randomOf(1))
  losses.length = 0
  loss.clear()
  orthogonality.clear()
  document.body.dataset.state = 'training'
  for (let step = 0; step < stepCount;) {
    const frameEnds = performance.now() + FRAME_MS
    while (step < stepCount && performance.now() < frameEnds) {
      await trainStep(operator, state)
      if (run !== current) return
      step++
    }
    show(step)
    await new Promise((resolve) => requestAnimationFrame(resolve))
    if (run !== current) return
  }
  document.body.dataset.state = 'done'
}

function start() {
  train().catch((error) => {
    byId('status').textContent = String(error)
    console.error(error)
  })
}

byId('start').addEventListener('click', start)
for (const id of ['operator', 'rate']) byId(id).addEventListener('change', start)
new ResizeObserver(draw).observe(document.body)
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw)
start()
