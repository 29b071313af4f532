// One rank of a training that would go on for an hour, started by `adasum run`, until a signal ends it. Prints its process
// id when it has begun, and one JSON line at the end.
import * as tf from '@tensorflow/tfjs-core'
import * as layers from '@tensorflow/tfjs-layers'
import { connect } from 'adasum'
import { distribute } from 'adasum/tfjs'
import { FAST_BACKEND } from './_backend.mjs'
import { fingerprintOf } from './_fingerprint.mjs'

await tf.setBackend(FAST_BACKEND)
const comm = await connect()
const model = layers.sequential()
model.add(layers.layers.dense({ inputShape: [8], units: 4 }))
model.add(layers.layers.dense({ units: 1 }))
model.compile({ optimizer: tf.train.sgd(0.001), loss: 'meanSquaredError' })
process.on('SIGUSR2', () => void (model.stopTraining = true))

let batches = 0
const { epoch } = await model.fit(tf.randomNormal([64, 8]), tf.zeros([64, 1]), {
  epochs: 1_000_000,
  batchSize: 16,
  verbose: 0,
  callbacks: [
    distribute(model, comm, { op: 'adasum' }),
    {
      onBatchEnd: () => {
        if (++batches === 10) process.stdout.write(`pid ${process.pid}\n`)
      },
      // As long as a checkpoint takes: a signal may come while it is written.
      onEpochEnd: () => new Promise((resolve) => setTimeout(resolve, 2)),
    },
  ],
})
await comm.close()
const line = { rank: comm.rank, batches, epochs: epoch.length, weights: fingerprintOf(model) }
process.stdout.write(`${JSON.stringify(line)}\n`)
