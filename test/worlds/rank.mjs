// What each of many ranks runs: every schedule and operator against the local function on all ranks' inputs.
// Run by scripts/test-worlds.mjs under `adasum run`. Rank 0 prints.

import { createHash } from 'node:crypto'
import { adasumSync, averageSync, connect, sumSync } from 'adasum'

const LOCAL = { adasum: adasumSync, average: averageSync, sum: sumSync }
/** A short vector, one of large and small segments, and one of a single long segment. */
const SEGMENTS = [[5, 0, 300], [20_000, 7, 3000, 150_000, 1], [300_000]]
/** What storing the results of levels may cost, relative to the result. */
const TOLERANCE = 2e-6

const comm = await connect({ timeoutMs: 120_000 })
const ranks = [...Array(comm.size).keys()]
const isPowerOfTwo = Number.isInteger(Math.log2(comm.size))

/** @param {number} length @param {number} rank */
function inputOf(length, rank) {
  let state = 2463534242 + rank * 7919
  const next = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32
  return Float32Array.from({ length }, () => next() - 0.3)
}

/** @param {Float32Array} found @param {Float32Array} want */
function relativeError(found, want) {
  let [difference, norm] = [0, 0]
  for (const [i, x] of want.entries()) {
    difference += (found[i] - x) ** 2
    norm += x ** 2
  }
  return Math.sqrt(difference / norm)
}

/** @param {Float32Array} array */
const digestOf = (array) => createHash('sha256').update(new Uint8Array(array.buffer)).digest()

/** Rank 0 prints what any rank has found. @param {string} title @param {boolean} isGood */
async function report(title, isGood) {
  const bad = await comm.allReduce(Float64Array.of(isGood ? 0 : 1), { op: 'sum' })
  if (comm.rank !== 0) return
  console.log(bad.result[0] === 0 ? `ok - ${comm.size} ranks: ${title}` : `not ok - ${comm.size} ranks: ${title}`)
  if (bad.result[0] !== 0) process.exitCode = 1
}

for (const segments of SEGMENTS) {
  const length = segments.reduce((a, b) => a + b)
  const input = inputOf(length, comm.rank)
  // One rank knows what must come out, since so many would need minutes for it.
  const inputs = comm.rank === 0 ? ranks.map((rank) => inputOf(length, rank)) : []
  for (const op of /** @type {const} */ (['adasum', 'average', 'sum'])) {
    const want = comm.rank === 0 ? LOCAL[op](inputs, { segments }).result : undefined
    const algorithms = /** @type {const} */ (['auto', 'single-shot', 'levels', ...(isPowerOfTwo ? ['rvh'] : [])])
    for (const algorithm of algorithms) {
      const { result } = await comm.allReduce(input.slice(), { op, segments, algorithm })
      const digest = digestOf(result)
      const all = await comm.allGather(digest)
      const isSame = ranks.every((rank) => digest.equals(all.subarray(rank * 32, (rank + 1) * 32)))
      const isRight = !want || relativeError(result, want) <= TOLERANCE
      const isExact = !want || algorithm !== 'single-shot' || digestOf(want).equals(digest)
      await report(`${algorithm}, ${op} of ${length} elements`, isSame && isRight && isExact)
    }
  }
}

const halves = await comm.split(comm.rank % 2, -comm.rank)
const [first] = (await halves?.allGather(Int32Array.of(comm.rank))) ?? []
await report('two groups in reverse order', first === comm.size - 1 - ((comm.rank + comm.size - 1) % 2))

const { result } = await comm.allToAll(Int32Array.from(ranks, (rank) => comm.rank * 1000 + rank))
await report(
  'all-to-all',
  ranks.every((rank) => result[rank] === rank * 1000 + comm.rank),
)
await comm.close()
