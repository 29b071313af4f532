// One rank of a training that goes on from its newest checkpoint and makes one when it is stopped, started by `adasum run`:
//
//     _program-stopped.mjs <folder> <epochs> <batch from which on it waits> [everyEpochs]
//
// Prints its process id at that batch, and at the end one JSON line: what was done, and the weights.
import { setTimeout as sleep } from 'node:timers/promises'
import * as tf from '@tensorflow/tfjs-core'
import * as layers from '@tensorflow/tfjs-layers'
import '@tensorflow/tfjs-backend-cpu'
import { connect, sampler } from 'adasum'
import { distribute, loadTraining, sampledDataset, trainingCheckpoints } from 'adasum/tfjs'
import { fingerprintOf } from './_fingerprint.mjs'

const [folder, epochs, waitingBatch, everyEpochs] = process.argv.slice(2)
await tf.setBackend('cpu')
const comm = await connect()
const xs = tf.randomNormal([48, 3], 0, 1, 'float32', 7)
const ys = tf.sum(xs, 1, true)
const model = layers.sequential()
model.add(layers.layers.dense({ inputShape: [3], units: 2, kernelInitializer: 'ones' }))
model.add(layers.layers.dense({ units: 1, kernelInitializer: 'ones' }))
model.compile({ optimizer: tf.train.momentum(0.01, 0.9), loss: 'meanSquaredError' })

const samples = sampler(comm, { count: 48, batchSize: 4, seed: 3 })
const training = { model, optimizer: model.optimizer }
const loaded = await loadTraining(String(folder), training, { comm })
if (loaded) samples.restore(/** @type {any} */ (loaded.values).sampler)

let batches = 0
const waiting = {
  onBatchEnd: async () => {
    if (++batches < Number(waitingBatch)) return
    if (batches === Number(waitingBatch)) process.stdout.write(`pid ${process.pid}\n`)
    await sleep(20)
  },
}
const content = { ...training, values: () => ({ sampler: samples.state() }) }
const options = { comm, ...(everyEpochs && { everyEpochs: Number(everyEpochs) }) }
const callbacks = [
  distribute(model, comm, { op: 'adasum' }),
  trainingCheckpoints(String(folder), content, options),
  waiting,
]
const dataset = sampledDataset(samples, (indices) => ({ xs: tf.gather(xs, indices), ys: tf.gather(ys, indices) }))
await model.fitDataset(/** @type {any} */ (dataset), {
  epochs: Number(epochs),
  initialEpoch: samples.epoch,
  verbose: 0,
  callbacks,
})
await comm.close()
const listeners = process.listenerCount('SIGTERM') + process.listenerCount('SIGINT')
const [kept, weights] = [loaded?.path ?? null, fingerprintOf(model)]
process.stdout.write(
  `${JSON.stringify({ rank: comm.rank, batches, epoch: samples.epoch, kept, listeners, weights })}\n`,
)
