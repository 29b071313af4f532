// What an all-reduce allocates once everything that is kept has been made: bytes on the JavaScript heap and in array
// buffers, for each call of one rank. All ranks are in one process, over sockets of loopback, with `out`, and run the
// package as it was built.
//
//     node --expose-gc --min-semi-space-size=256 --max-semi-space-size=256 bench/allocation.mjs [--top]
//
// Nothing is collected between two readings: the young generation is large enough. A row in which something was collected
// all the same is measured anew, and says so if it does not succeed. With --top, instead, the functions that allocate most
// on the heap, by sampling.
import { Session } from 'node:inspector/promises'
import { PerformanceObserver } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from 'adasum'

/**
 * @typedef {import('adasum').Communicator} Communicator
 *
 * @typedef {object} Case
 * @property {'sum' | 'adasum'} op
 * @property {number} byteLength
 *
 * @typedef {object} Allocated
 * @property {number} heap
 * @property {number} arrayBuffers
 * @property {boolean} wasCollected
 */

const { gc } = globalThis
if (!gc) throw new Error('Start with the flags that stand at the head of bench/allocation.mjs.')

const BYTE_LENGTHS = [1 << 10, 512 << 10, 32 << 20]
const TRIES = 5

let collections = 0
new PerformanceObserver((list) => (collections += list.getEntries().length)).observe({ entryTypes: ['gc'] })

/**
 * @param {() => Promise<unknown>} call
 * @param {number} count
 * @returns {Promise<Allocated>}
 */
async function measure(call, count) {
  gc?.()
  // Observers hear of a collection in a later turn.
  await sleep(20)
  collections = 0
  const before = process.memoryUsage()
  for (let i = 0; i < count; i++) await call()
  const after = process.memoryUsage()
  await sleep(20)
  return {
    heap: (after.heapUsed - before.heapUsed) / count,
    arrayBuffers: (after.arrayBuffers - before.arrayBuffers) / count,
    wasCollected: collections > 0,
  }
}

/**
 * The functions that allocated most, with bytes a call.
 *
 * @param {() => Promise<unknown>} call
 * @param {number} count
 * @returns {Promise<[where: string, bytes: number][]>}
 */
async function topOf(call, count) {
  const session = new Session()
  session.connect()
  const all = { includeObjectsCollectedByMajorGC: true, includeObjectsCollectedByMinorGC: true }
  await session.post('HeapProfiler.startSampling', { samplingInterval: 512, ...all })
  for (let i = 0; i < count; i++) await call()
  const { profile } = await session.post('HeapProfiler.stopSampling')
  session.disconnect()
  /** @type {Map<string, number>} */
  const sizes = new Map()
  const nodes = [profile.head]
  for (let node = nodes.pop(); node; node = nodes.pop()) {
    const { functionName, url, lineNumber } = node.callFrame
    const where = `${functionName || '(anonymous)'} ${url.replace(/.*\/dist\//, '')}:${lineNumber + 1}`
    sizes.set(where, (sizes.get(where) ?? 0) + node.selfSize / count)
    nodes.push(...node.children)
  }
  return [...sizes].sort(([, a], [, b]) => b - a).slice(0, 12)
}

/**
 * @param {readonly Communicator[]} ranks
 * @param {Case} one
 */
async function report(ranks, { op, byteLength }) {
  const data = ranks.map((_, rank) => new Float32Array(byteLength / 4).fill(rank + 1))
  const out = data.map((array) => new Float32Array(array.length))
  const calls = ranks.map((comm, i) => {
    const options = { op, out: out[i] ?? new Float32Array() }
    return () => comm.allReduce(data[i] ?? new Float32Array(), options)
  })
  const call = () => Promise.all(calls.map((one) => one()))
  const count = byteLength > 1 << 20 ? 10 : 300
  // Optimised code allocates less: it must be there before the first reading.
  for (let i = 0; i < 3 * count; i++) await call()
  const perRank = (/** @type {number} */ bytes) => Math.round(bytes / ranks.length).toLocaleString('en-US')
  const place = `| ${ranks.length} | ${op} | ${(byteLength / 1024).toLocaleString('en-US')} |`
  if (process.argv.includes('--top')) {
    console.log(place)
    for (const [where, bytes] of await topOf(call, count)) console.log(`    ${perRank(bytes).padStart(9)}  ${where}`)
    return
  }
  let found = await measure(call, count)
  for (let i = 1; i < TRIES && found.wasCollected; i++) found = await measure(call, count)
  const note = found.wasCollected ? ' collected meanwhile' : ''
  console.log(`${place} ${perRank(found.heap)} | ${perRank(found.arrayBuffers)} |${note}`)
}

console.log('| ranks | operator | KiB | heap, bytes | array buffers, bytes |\n| --: | --- | --: | --: | --: |')
for (const size of [2, 4]) {
  const store = `127.0.0.1:${20_000 + (process.pid % 20_000) + size}`
  const ranks = await Promise.all(Array.from({ length: size }, (_, rank) => connect({ rank, size, store })))
  for (const byteLength of BYTE_LENGTHS)
    for (const op of /** @type {const} */ (['sum', 'adasum'])) await report(ranks, { op, byteLength })
  await Promise.all(ranks.map((comm) => comm.close()))
}
