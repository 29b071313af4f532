// The program for model.fit, as the API was designed, with a model and data around it. Prints one JSON line.
import * as tf from '@tensorflow/tfjs-core'
import * as layers from '@tensorflow/tfjs-layers'
import { connect } from 'adasum'
import { distribute, registerTrainingKernels } from 'adasum/tfjs'
import { FAST_BACKEND } from './_backend.mjs'
import { fingerprintOf } from './_fingerprint.mjs'

await tf.setBackend(FAST_BACKEND)
// Bright dots, in the left half or in the right one. The odd sample out: it belongs to no shard.
const COUNT = 4001
const xs = tf.tidy(() => {
  const bright = tf.randomUniform([COUNT, 6, 6, 1], 0, 1, 'float32', 42)
  const isRight = tf.reshape(tf.mod(tf.range(0, COUNT), 2), [COUNT, 1, 1, 1])
  const half = tf.reshape(tf.tensor1d([0, 0, 0, 1, 1, 1]), [1, 1, 6, 1])
  return tf.mul(bright, tf.cast(tf.equal(half, isRight), 'float32'))
})
const ys = tf.oneHot(tf.cast(tf.mod(tf.range(0, COUNT), 2), 'int32'), 2)
const model = layers.sequential()
model.add(layers.layers.conv2d({ inputShape: [6, 6, 1], filters: 4, kernelSize: 3, activation: 'relu' }))
model.add(layers.layers.flatten())
model.add(layers.layers.dense({ units: 2 }))
const loss = (truth, logits) => tf.losses.softmaxCrossEntropy(truth, logits)
const lossNow = () => loss(ys, model.predict(xs)).dataSync()[0]
const before = lossNow()

// ---- as designed, from here
registerTrainingKernels()
const comm = await connect()
model.compile({ optimizer: tf.train.momentum(0.05, 0.9), loss })
const { begin, end } = comm.shard(xs.shape[0])
await model.fit(tf.slice(xs, begin, end - begin), tf.slice(ys, begin, end - begin), {
  epochs: 1,
  batchSize: 64,
  callbacks: distribute(model, comm, { op: 'adasum' }),
})
await comm.close()
// ---- to here

const line = { rank: comm.rank, size: comm.size, before, after: lossNow(), weights: fingerprintOf(model) }
process.stdout.write(`${JSON.stringify(line)}\n`)
