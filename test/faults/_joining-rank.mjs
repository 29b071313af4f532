// One rank of a world whose ranks run out of data at different times: `_joining-rank.mjs <plan as JSON>`. It tells its
// parent what it saw. Rank 0 has no data from the start on.
import { adasumSync, connect } from 'adasum'

const plan = JSON.parse(process.argv[2] ?? '')
const tell = (message) => new Promise((resolve) => process.send(message, resolve))

/** Numbers that every rank can compute for any other. */
const inputOf = (rank, batch) =>
  Float32Array.from({ length: plan.elementCount }, (_, i) => Math.fround(Math.sin(i + 7 * rank + 3 * batch)))

const bytesOf = (array) => Buffer.from(array.buffer, array.byteOffset, array.byteLength)

/** Makes a call with data, or with none; returns whether it gave the bits that one process computes from all inputs. */
async function reduce(comm, batch, weight) {
  const weights = Array.from({ length: comm.size }, (_, rank) =>
    Number(rank > 0 && (batch < rank || plan.deviant >= 0)),
  )
  const inputs = weights.map((_, rank) => inputOf(rank, batch))
  const data = inputs[comm.rank].slice()
  await comm.allReduce(data, { op: 'adasum', weight })
  return weight === 0 || bytesOf(data).equals(bytesOf(adasumSync(inputs, { weights }).result))
}

async function run(comm) {
  let isExact = true
  try {
    for (let epoch = 0; epoch < 2; epoch++) {
      // Where a rank is to die, the others do not come to the end of their data.
      const count = comm.rank > 0 && plan.deviant >= 0 ? Infinity : comm.rank
      for (let batch = 0; batch < count; batch++) {
        // Also after a wrong result: the others wait for this rank.
        isExact = (await reduce(comm, batch, 1)) && isExact
        if (batch === 0) await tell({ type: 'begun' })
      }
      const join = comm.join()
      if (comm.rank === 0) await tell({ type: 'begun' })
      const { lastRank } = await join
      if (lastRank !== comm.size - 1) return { isExact: false, message: `rank ${lastRank} was the last` }
    }
    return { isExact }
  } catch (error) {
    return { isExact, code: error.code, peerRank: error.peerRank, message: error.message }
  }
}

const comm = await connect({ sharedMemory: plan.sharedMemory })
await reduce(comm, 0, 0)
const ready = new Promise((resolve) => process.once('message', resolve))
await tell({ type: 'ready' })
await ready
const report = await run(comm)
await comm.close()
await tell({ type: 'report', ...report })
process.disconnect()
