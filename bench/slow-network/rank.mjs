// What every rank of bench/slow-network.mjs runs. Rank 0 prints what was measured, as one line of JSON.

import { Compressor, connect, average, adasum, sum } from 'adasum'

/**
 * @typedef {object} Way
 * @property {string} compress `none` or a format
 * @property {number} bucketBytes 0: one bucket
 *
 * @typedef {object} Measured of a way
 * @property {Way} way
 * @property {number[]} timesMs of the slowest rank, a number a round
 * @property {number} bytesSent by rank 0, in a call
 * @property {number} relativeError of the first call, and
 * @property {number} meanRelativeError of the mean of all: with error feedback, what is left of it
 * @property {number} wrong elements that differ between ranks
 */

const LOCAL = { sum, average, adasum }
/** @typedef {keyof typeof LOCAL} Op */

const { place, settings } = JSON.parse(process.argv[2] ?? '{}')
/** @type {import('../slow-network.mjs').Settings} */
const { byteLength, segmentCount, rounds, ways } = settings
const op = /** @type {Op} */ (settings.op)
const comm = await connect(place)
const elementCount = byteLength / 4
const segments = Array.from({ length: segmentCount }, (_, i) => cut(i + 1) - cut(i))
const input = vectorOf(comm.rank)
const out = new Float32Array(elementCount)
const exact = (
  await LOCAL[op](
    Array.from({ length: comm.size }, (_, rank) => vectorOf(rank)),
    { segments },
  )
).result

/** @param {number} i */
function cut(i) {
  return Math.floor((elementCount / segmentCount) * i)
}

/** A gradient: numbers around zero, of another size in each segment, with something in common on all ranks. @param {number} rank */
function vectorOf(rank) {
  const vector = new Float32Array(elementCount)
  let state = 2463534242 + rank * 7919
  for (let i = 0, segment = 0; i < elementCount; i++) {
    if (i === cut(segment + 1)) segment++
    // Four uniform numbers are nearly normal, with the few large ones that the scale of a block comes from.
    let noise = -2
    for (let k = 0; k < 4; k++) noise += (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32
    vector[i] = (noise + 0.3 * Math.sin(i)) / (1 + (segment % 8))
  }
  return vector
}

/** @param {ArrayLike<number>} found */
function errorOf(found) {
  let [difference, norm] = [0, 0]
  for (let i = 0; i < elementCount; i++) {
    difference += ((found[i] ?? 0) - (exact[i] ?? 0)) ** 2
    norm += (exact[i] ?? 0) ** 2
  }
  return Math.sqrt(difference / norm)
}

/** How many elements of this rank's result differ from rank 0's, over all ranks. */
async function countWrong() {
  const first = await comm.broadcast(out.slice())
  const wrong = Float64Array.of(first.reduce((count, x, i) => count + (Object.is(x, out[i]) ? 0 : 1), 0))
  return (await comm.allReduce(wrong, { op: 'sum' })).result[0] ?? NaN
}

/** @param {Way} way */
function optionsOf({ compress, bucketBytes }) {
  const format = /** @type {import('adasum').CompressionFormat} */ (compress)
  return {
    ...{ op, segments, out },
    ...(compress !== 'none' && { compressor: new Compressor({ format }) }),
    ...(bucketBytes > 0 && { bucketBytes }),
  }
}

/** @param {() => Promise<unknown>} call */
async function timeOf(call) {
  await comm.barrier()
  const start = performance.now()
  await call()
  const mine = Float64Array.of(performance.now() - start)
  return (await comm.allReduce(mine, { op: 'max' })).result[0] ?? NaN
}

const running = ways.map((way) => ({
  options: optionsOf(way),
  total: new Float64Array(elementCount),
  /** @type {Measured} */
  measured: { way, timesMs: [], bytesSent: 0, relativeError: 0, meanRelativeError: 0, wrong: 0 },
}))

// Connections open, and grow as fast as the network lets them.
await comm.allReduce(input, { op, segments, out })
for (let round = 0; round < rounds; round++) {
  for (let turn = 0; turn < ways.length; turn++) {
    const { options, total, measured } = /** @type {typeof running[number]} */ (running[(turn + round) % ways.length])
    measured.timesMs.push(
      await timeOf(async () => {
        const { bytesSent } = await comm.allReduce(input, options)
        measured.bytesSent = bytesSent
      }),
    )
    out.forEach((x, i) => (total[i] = (total[i] ?? 0) + x / rounds))
    if (round > 0) continue
    measured.relativeError = errorOf(out)
    measured.wrong = await countWrong()
  }
}
for (const { measured, total } of running) measured.meanRelativeError = errorOf(total)
if (comm.rank === 0) console.log(JSON.stringify(running.map(({ measured }) => measured)))
await comm.close()
