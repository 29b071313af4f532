// Where the time of an all-reduce goes: microseconds of a call, averaged over the ranks, by what a sampling profiler saw
// each rank do. Runs the package as it was built.
//
//     npx adasum run -n 2 bench/profile.mjs [--op sum] [--bytes 1024] [--calls 5000]
//       [--transport shared-memory] [--top]
//
// Ranks are in step because each call waits for the others: what one rank does for longer, the others wait for. With
// --top, the functions that take most, too.
import { Session } from 'node:inspector/promises'
import { parseArgs } from 'node:util'
import { connect } from 'adasum'

const SAMPLING_INTERVAL_US = 100

const { values: options } = parseArgs({
  options: {
    op: { type: 'string', default: 'sum' },
    bytes: { type: 'string', default: '1024' },
    calls: { type: 'string', default: '5000' },
    transport: { type: 'string', default: 'tcp' },
    top: { type: 'boolean', default: false },
  },
})

/** @typedef {{ functionName: string, url: string }} Frame */

// The functions of the addon have one entry point, which the profiler calls by the name of whichever was registered last.
const KERNELS = new Set([
  'Segment',
  'reduce',
  'gram',
  'combine',
  'fold',
  'refine',
  'gramFinish',
  'coefficients',
  'hasNonFinite',
])
const isNative = (/** @type {Frame} */ { url }) => url === ''

/** @type {readonly [what: string, is: (frame: Frame) => boolean][]} the first that fits counts */
const PLACES = [
  ['waiting', ({ functionName }) => functionName === '(idle)'],
  ['write to the socket', (frame) => isNative(frame) && /^write|^shutdown$/.test(frame.functionName)],
  ['reading, event loop', ({ functionName }) => functionName === '(program)'],
  ['kernels', (frame) => isNative(frame) && KERNELS.has(frame.functionName)],
  ['garbage collection', ({ functionName }) => functionName === '(garbage collector)'],
  ['JavaScript of Node.js', ({ url }) => url.startsWith('node:')],
  ['JavaScript of adasum', ({ url }) => url.includes('/dist/')],
  ['rest', () => true],
]

/**
 * Time that each function took by itself, in microseconds.
 *
 * @param {import('node:inspector').Profiler.Profile} profile
 * @returns {[frame: Frame, us: number][]}
 */
function selfTimes({ nodes, samples = [], timeDeltas = [] }) {
  /** @type {Map<number, number>} */
  const byNode = new Map()
  samples.forEach((id, i) => byNode.set(id, (byNode.get(id) ?? 0) + (timeDeltas[i + 1] ?? 0)))
  return nodes.map(({ id, callFrame }) => [callFrame, byNode.get(id) ?? 0])
}

/**
 * @param {() => Promise<unknown>} call
 * @param {number} count
 */
async function profileOf(call, count) {
  const session = new Session()
  session.connect()
  await session.post('Profiler.enable')
  await session.post('Profiler.setSamplingInterval', { interval: SAMPLING_INTERVAL_US })
  await session.post('Profiler.start')
  const begin = performance.now()
  for (let i = 0; i < count; i++) await call()
  const us = (performance.now() - begin) * 1e3
  const { profile } = await session.post('Profiler.stop')
  session.disconnect()
  return { us, times: selfTimes(profile) }
}

/** @param {[frame: Frame, us: number][]} times */
function byPlace(times) {
  const sums = new Float64Array(PLACES.length)
  for (const [frame, us] of times) {
    const place = PLACES.findIndex(([, is]) => is(frame))
    sums[place] = (sums[place] ?? 0) + us
  }
  return sums
}

/**
 * @param {[frame: Frame, us: number][]} times
 * @param {number} count
 */
function printTop(times, count) {
  /** @type {Map<string, number>} */
  const sums = new Map()
  for (const [{ functionName, url }, us] of times) {
    const name = `${functionName || '(anonymous)'} ${url.replace(/.*\/dist\//, '')}`
    sums.set(name, (sums.get(name) ?? 0) + us)
  }
  const top = [...sums].sort(([, a], [, b]) => b - a).slice(0, 15)
  for (const [name, us] of top) console.log(`${(us / count).toFixed(1).padStart(9)}  ${name}`)
}

const comm = await connect({ sharedMemory: options.transport !== 'tcp' })
const count = Number(options.calls)
const elementCount = Number(options.bytes) / 4
const data = comm.allocate('f32', elementCount).fill(comm.rank + 1)
const out = comm.allocate('f32', elementCount)
const op = options.op === 'adasum' ? 'adasum' : 'sum'
const call = () => comm.allReduce(data, { op, out })
for (let i = 0; i < Math.max(3, count / 2); i++) await call()
await comm.barrier()
const { us, times } = await profileOf(call, count)
const sums = await comm.allReduce(byPlace(times), { op: 'average' })
if (comm.rank === 0) {
  console.log(
    `${op}, ${data.byteLength} bytes, ${comm.size} ranks: ${(us / count).toFixed(1)} us a call while profiled`,
  )
  const total = sums.result.reduce((sum, part) => sum + part, 0)
  PLACES.forEach(([what], i) => {
    const part = sums.result[i] ?? 0
    console.log(`${(part / count).toFixed(1).padStart(9)} us ${Math.round((100 * part) / total)}%`.padEnd(20) + what)
  })
  if (options.top) printTop(times, count)
}
await comm.close()
