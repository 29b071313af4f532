/**
 * Speed of training LeNet-5 (61,706 parameters) with TensorFlow.js in one process: whole steps, that is assembling
 * the batch, forward, backward, momentum update and reading the loss.
 *
 *     npx tsx --conditions=adasum-source bench/tfjs-training.ts [--batch 64] [--steps 60] [--repeats 7] [--stock]
 *       [--model lenet|mlp] [--backend wasm|cpu|node]
 *
 * Prints one JSON line: median, minimum and maximum of images per second over the repeats, and the median of images per
 * second of processor time, which is the better one where other programs run. `--stock` leaves the
 * kernels alone; LeNet-5 then fails, because the wasm backend cannot differentiate a convolution. For the backend
 * `node`, which is no dependency, bench/tfjs-backends.mjs starts this program.
 */
import { parseArgs } from 'node:util'
import * as tf from '@tensorflow/tfjs-core'
import type * as layers from '@tensorflow/tfjs-layers'
import { registerTrainingKernels } from '../ts/src/adapters/tfjs/training-kernels.ts'
import { leNet, mlp } from '../test/adapters/_models.ts'

const PIXELS = 28 * 28
const POOL_SIZE = 6400

const { values } = parseArgs({
  options: {
    batch: { type: 'string', default: '64' },
    steps: { type: 'string', default: '60' },
    repeats: { type: 'string', default: '7' },
    model: { type: 'string', default: 'lenet' },
    backend: { type: 'string', default: 'wasm' },
    stock: { type: 'boolean', default: false },
  },
})
const [batch, steps, repeats] = [Number(values.batch), Number(values.steps), Number(values.repeats)]

const packages: Record<string, string> = { wasm: 'backend-wasm', cpu: 'backend-cpu', node: 'node' }
const models: Record<string, typeof leNet> = { lenet: leNet, mlp }
const [packageName, makeModel] = [packages[values.backend], models[values.model]]
if (packageName === undefined || makeModel === undefined) throw new Error(`see the options in ${import.meta.filename}`)

await import(`@tensorflow/tfjs-${packageName}`)
await tf.setBackend(values.backend === 'node' ? 'tensorflow' : values.backend)
if (!values.stock) registerTrainingKernels()

const model: layers.LayersModel = makeModel({ seed: 1 })
const optimizer = tf.train.momentum(0.01, 0.9)
const images = Float32Array.from({ length: POOL_SIZE * PIXELS }, Math.random)
const labels = Int32Array.from({ length: POOL_SIZE }, () => Math.floor(Math.random() * 10))

async function step(index: number): Promise<number> {
  const first = (index * batch) % (POOL_SIZE - batch + 1)
  const x = tf.tensor4d(images.slice(first * PIXELS, (first + batch) * PIXELS), [batch, 28, 28, 1])
  const y = tf.tidy(() => tf.oneHot(tf.tensor1d(labels.slice(first, first + batch), 'int32'), 10))
  const lossOf = (): tf.Scalar => tf.losses.softmaxCrossEntropy(y, model.apply(x, { training: true }) as tf.Tensor)
  const loss = optimizer.minimize(lossOf, true)!
  const [value] = await loss.data()
  tf.dispose([x, y, loss])
  return value!
}

/** Images in a second by the clock, and in a second of processor time, of all threads together. */
async function imagesPerSecond(): Promise<[byClock: number, byProcessor: number]> {
  const [startMs, start] = [performance.now(), process.cpuUsage()]
  for (let index = 0; index < steps; index++) await step(index)
  const { user, system } = process.cpuUsage(start)
  return [(steps * batch * 1e3) / (performance.now() - startMs), (steps * batch * 1e6) / (user + system)]
}

for (let index = 0; index < Math.min(10, steps); index++) await step(index)
const tensors = tf.memory().numTensors
const measured: [number, number][] = []
for (let repeat = 0; repeat < repeats; repeat++) measured.push(await imagesPerSecond())
const [rates, byProcessor] = [0, 1].map((column) => measured.map((row) => row[column]!).sort((a, b) => a - b))
const summary = {
  model: values.model,
  backend: tf.getBackend(),
  batch,
  steps,
  imagesPerSecond: Math.round(rates![repeats >> 1]!),
  min: Math.round(rates![0]!),
  max: Math.round(rates!.at(-1)!),
  imagesPerProcessorSecond: Math.round(byProcessor![repeats >> 1]!),
  leakedTensors: tf.memory().numTensors - tensors,
}
console.log(JSON.stringify(summary))
