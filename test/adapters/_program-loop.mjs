// The program for a loop of one's own, as the API was designed, with a model and data around it. Prints one JSON line.
import * as tf from '@tensorflow/tfjs-core'
import * as layers from '@tensorflow/tfjs-layers'
import { connect } from 'adasum'
import { broadcastWeights, DistributedOptimizer } from 'adasum/tfjs'
import { FAST_BACKEND } from './_backend.mjs'
import { fingerprintOf } from './_fingerprint.mjs'

await tf.setBackend(FAST_BACKEND)
const comm = await connect()
const model = layers.sequential()
model.add(layers.layers.dense({ inputShape: [4], units: 16, activation: 'tanh' }))
model.add(layers.layers.dense({ units: 1 }))
const lossOf = (predicted, y) => tf.losses.meanSquaredError(y, predicted)
// 4 does not divide them: the last steps wait for flush.
const batches = Array.from({ length: 102 }, (_, step) => {
  const x = tf.randomNormal([16, 4], 0, 1, 'float32', 1 + 2 * step + comm.rank)
  return [x, tf.mean(x, 1, true)]
})
const initial = fingerprintOf(model)
let loss

// ---- as designed, from here
const optimizer = new DistributedOptimizer(tf.train.adam(1e-3), comm, { op: 'adasum', mode: 'delta', localSteps: 4 })
await broadcastWeights(model, comm)
for (const [x, y] of batches) loss = await optimizer.minimizeAsync(() => lossOf(model.apply(x), y)) // a number
await optimizer.flush()
// ---- to here

const { segments } = optimizer.lastReduction
await comm.close()
const line = { rank: comm.rank, size: comm.size, initial, loss, segments, weights: fingerprintOf(model) }
process.stdout.write(`${JSON.stringify(line)}\n`)
