// One of several ranks, whose gradients are unequal: prints what it learns of them, as one line of JSON.
import { createHash } from 'node:crypto'
import { connect } from 'adasum'
import { NoiseMeter } from 'adasum/optim'

const [algorithm] = process.argv.slice(2)
const comm = await connect()
const [meter, hash] = [new NoiseMeter(), createHash('sha256')]
for (let step = 0; step < 5; step++) {
  const noise = (/** @type {number} */ i) =>
    Math.sin((comm.rank + 1) * (step + 1) * (i + 1) * 12.9898) * (comm.rank + 1)
  const data = {
    bias: Float32Array.from({ length: 10 }, (_, i) => 0.5 + noise(i)),
    kernel: Float32Array.from({ length: 60_000 }, (_, i) => 0.25 + noise(i)),
  }
  const options = { op: 'adasum', gram: true, algorithm, weight: 8 * (comm.rank + 1) }
  const reduction = await comm.allReduce(data, /** @type {any} */ (options))
  for (const { gram } of reduction.segments) for (const row of gram ?? []) hash.update(row)
  meter.observe(reduction)
}
console.log(JSON.stringify({ grams: hash.digest('hex'), estimate: meter.estimate(), segments: meter.segments() }))
await comm.close()
