// A rank that computes until another one is killed, or it is itself. It ends well if that, and nothing else, is its end.

import { AdasumError, connect } from 'adasum'

const EXPECTED = ['ERR_PEER_LOST', 'ERR_STORE', 'ERR_TIMEOUT']
const [seed = 0] = process.argv.slice(2).map(Number)

// The parent may be killed as well.
process.on('disconnect', () => process.exit(0))

let state = seed
/** The same on every rank. @param {number} below */
function next(below) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  return Math.floor((state / 2 ** 32) * below)
}

async function work() {
  const comm = await connect({ timeoutMs: 5000 })
  for (let i = 0; ; i++) {
    const count = 1 + next(400_000)
    const array = comm.allocate('f32', count)
    const data = (next(2) === 0 ? array : array.slice()).fill(1)
    const kind = next(4)
    const sums = { op: /** @type {const} */ ('sum') }
    if (kind === 0) await comm.broadcast(data, { root: next(comm.size) })
    else if (kind === 1) await comm.allReduce(data, { op: 'adasum', out: comm.allocate('f32', count) })
    else if (kind === 2) await comm.allGather(data)
    else {
      const { result } = await comm.allReduce(data, { ...sums, ...(next(2) === 0 && { out: new Float32Array(count) }) })
      if (result.some((x) => x !== comm.size)) throw new Error(`wrong sum in call ${i}`)
    }
  }
}

try {
  await work()
} catch (error) {
  if (!(error instanceof AdasumError) || !EXPECTED.includes(error.code)) {
    console.error(error)
    process.exit(1)
  }
  process.exit(0)
}
