// What each rank of the soak runs: many collectives, and memory and file descriptors that must stay as they are.
// Run by scripts/test-soak.mjs under `adasum run` with --expose-gc. Rank 0 prints.

import { readdirSync } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { connect } from 'adasum'

/** Looks at memory this often in a phase; the first look counts as warm. */
const LOOKS = 10
/** What may be added between the first look and the last. */
const MOST = { heapBytes: 2 << 20, outsideBytes: 4 << 20, residentBytes: 48 << 20, descriptors: 0 }

const small = (/** @type {number} */ i) => new Float32Array(64 + (i % 7) * 100).fill(1)
const large = () => new Float32Array(1 << 20).fill(1)

const comm = await connect()
const [smallCount, largeCount] = process.argv.slice(2).map(Number)

await soak('small', smallCount, async (i) => {
  const data = small(i)
  if (i % 10 === 9) await comm.allToAll(new Float32Array(3 * comm.size))
  else if (i % 10 === 8) await comm.barrier()
  else if (i % 10 === 7) await comm.broadcast(data, { root: i % comm.size })
  else await comm.allReduce(data, { op: i % 2 === 0 ? 'adasum' : 'sum' })
})
const data = large()
const out = large()
await soak('large', largeCount, async (i) => {
  if (i % 3 === 0) await comm.allReduce(data, { op: 'adasum', out })
  else await comm.allReduce(out, { op: 'average' })
})
await comm.close()

/**
 * @param {string} name
 * @param {number} count
 * @param {(index: number) => Promise<unknown>} step
 */
async function soak(name, count, step) {
  const looks = []
  for (let i = 0; i < count; i++) {
    await step(i)
    if ((i + 1) % Math.floor(count / LOOKS) === 0) looks.push(await look())
  }
  const [first, last] = [looks[0], looks.at(-1)]
  const grown = Object.fromEntries(Object.keys(MOST).map((key) => [key, last[key] - first[key]]))
  const isFlat = Object.entries(MOST).every(([key, most]) => grown[key] <= most)
  const words = Object.entries(grown).map(([key, growth]) => `${key} ${growth >= 0 ? '+' : ''}${growth}`)
  console.log(`${isFlat ? 'ok' : 'not ok'} - ${count} ${name} collectives on rank ${comm.rank}: ${words.join(', ')}`)
  if (!isFlat) process.exitCode = 1
}

async function look() {
  // Buffers that a collection frees are given back by the turn after it.
  for (let i = 0; i < 3; i++) {
    globalThis.gc()
    await nextTurn()
  }
  const { heapUsed, external, rss } = process.memoryUsage()
  const descriptors = readdirSync('/proc/self/fd').length
  return { heapBytes: heapUsed, outsideBytes: external, residentBytes: rss, descriptors }
}
