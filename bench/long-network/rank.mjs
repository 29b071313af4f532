// What every rank of bench/long-network.mjs runs. Rank 0 prints what was measured, as one line of JSON.

import { adasum, average, connect, sum } from 'adasum'

/**
 * @typedef {object} Settings
 * @property {number} byteLength
 * @property {string[]} ops
 * @property {number[]} connections for each direction between two ranks, one way after the other
 * @property {number} rounds
 *
 * @typedef {object} Measured
 * @property {string} op
 * @property {number} connections
 * @property {number[]} timesMs of the slowest rank, a number a round
 * @property {number} wrong elements that differ from what one process computes
 */

const LOCAL = { sum, average, adasum }
/** @typedef {keyof typeof LOCAL} Op */

const { place, settings } = JSON.parse(process.argv[2] ?? '{}')
const { byteLength, ops, connections, rounds } = /** @type {Settings} */ (settings)

/** @param {number} rank */
function vectorOf(rank) {
  let state = 2463534242 + rank * 7919
  return new Float32Array(byteLength / 4).map(() => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32 - 0.4
  })
}

const input = vectorOf(place.rank)
const out = new Float32Array(input.length)
const worlds = []
for (const connectionsPerPeer of connections) worlds.push(await connect({ ...place, tuning: { connectionsPerPeer } }))
const [control] = worlds
if (!control) throw new Error('nothing is to be measured')
// What holds for all ways goes over connections of its own.
const beside = await control.split(0)
if (!beside) throw new Error('this rank is in no group')

/** @param {() => Promise<unknown>} call */
async function timeOf(call) {
  await beside?.barrier()
  const start = performance.now()
  await call()
  const mine = Float64Array.of(performance.now() - start)
  return (await beside?.allReduce(mine, { op: 'max' }))?.result[0] ?? NaN
}

/** @param {Op} op */
async function expectedOf(op) {
  const inputs = Array.from({ length: beside?.size ?? 0 }, (_, rank) => vectorOf(rank))
  return (await LOCAL[op](inputs)).result
}

/** @type {Measured[]} */
const all = []
for (const op of /** @type {Op[]} */ (ops)) {
  const expected = await expectedOf(op)
  const ways = worlds.map((comm, i) => {
    /** @type {Measured} */
    const measured = { op, connections: connections[i] ?? NaN, timesMs: [], wrong: 0 }
    return { comm, measured }
  })
  // Connections open, and grow as fast as the network lets them.
  for (const { comm } of ways) await comm.allReduce(input, { op, out })
  for (let round = 0; round < rounds; round++)
    for (let turn = 0; turn < ways.length; turn++) {
      const { comm, measured } = /** @type {typeof ways[number]} */ (ways[(turn + round) % ways.length])
      measured.timesMs.push(await timeOf(() => comm.allReduce(input, { op, out })))
      measured.wrong += out.reduce((count, x, i) => count + (Object.is(x, expected[i]) ? 0 : 1), 0)
    }
  all.push(...ways.map(({ measured }) => measured))
}
if (place.rank === 0) console.log(JSON.stringify(all))
for (const comm of worlds) await comm.close()
