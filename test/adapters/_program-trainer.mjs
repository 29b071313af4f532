// One rank of a training run over real sockets, started by `adasum run`: model.fit, then a loop of its own, on a
// convolutional model and generated data. Prints one JSON line.
import { createHash } from 'node:crypto'
import * as tf from '@tensorflow/tfjs-core'
import * as layers from '@tensorflow/tfjs-layers'
import { connect } from 'adasum'
import { broadcastWeights, DistributedOptimizer, distribute, registerTrainingKernels } from 'adasum/tfjs'
import { FAST_BACKEND } from './_backend.mjs'
import { fingerprintOf } from './_fingerprint.mjs'

registerTrainingKernels()
await tf.setBackend(FAST_BACKEND)
const comm = await connect()

/** Stripes, lying or standing: a task that a small convolution learns. */
const COUNT = 240
const labels = Int32Array.from({ length: COUNT }, (_, image) => (image * 7) % 2)
const pixels = Float32Array.from({ length: COUNT * 64 }, (_, at) => {
  const [image, row, column] = [Math.floor(at / 64), Math.floor(at / 8) % 8, at % 8]
  return ((labels[image] === 1 ? row : column) + image) % 2 === 0 ? 1 : Math.sin(at) / 2
})
const xs = tf.tensor4d(pixels, [COUNT, 8, 8, 1])
const ys = tf.oneHot(tf.tensor1d(labels, 'int32'), 2)

const model = layers.sequential()
model.add(
  layers.layers.conv2d({ inputShape: [8, 8, 1], filters: 4, kernelSize: 3, padding: 'same', activation: 'relu' }),
)
model.add(layers.layers.batchNormalization())
model.add(layers.layers.conv2d({ filters: 4, kernelSize: 3, strides: 2, activation: 'relu' }))
model.add(layers.layers.flatten())
model.add(layers.layers.dense({ units: 2 }))

/** @type {(truth: tf.Tensor, logits: unknown) => tf.Scalar} */
const loss = (truth, logits) => tf.losses.softmaxCrossEntropy(truth, /** @type {tf.Tensor} */ (logits))

model.compile({ optimizer: tf.train.momentum(0.05, 0.9), loss })
const { begin, end } = comm.shard(xs.shape[0])
const [x, y] = [tf.slice(xs, begin, end - begin), tf.slice(ys, begin, end - begin)]
const callbacks = distribute(model, comm, { op: 'adasum' })
const { history } = await model.fit(x, y, { epochs: 3, batchSize: 16, verbose: 0, callbacks })
const fitted = fingerprintOf(model)

const optimizer = new DistributedOptimizer(tf.train.adam(1e-3), comm, { op: 'adasum', mode: 'delta', localSteps: 4 })
await broadcastWeights(model, comm)
const variables = model.trainableWeights.map((weight) => weight.read())
const losses = []
for (let step = 0; step < 10; step++) {
  const [inputs, truth] = [tf.slice(x, 4 * step, 16), tf.slice(y, 4 * step, 16)]
  losses.push(await optimizer.minimizeAsync(() => loss(truth, model.apply(inputs, { training: true })), variables))
  tf.dispose([inputs, truth])
}
await optimizer.flush()

// Inference statistics are not part of the loop: compare what was trained.
const trained = createHash('sha256')
for (const variable of variables) trained.update(new Uint8Array(variable.dataSync().buffer))
await comm.close()
const line = {
  rank: comm.rank,
  size: comm.size,
  epochLosses: history.loss,
  fitted,
  losses,
  trained: trained.digest('hex'),
}
process.stdout.write(`${JSON.stringify(line)}\n`)
