// A rank of scripts/test-dead-links.mjs, test-liveness.mjs and check-detection.mjs: its argument is a plan as JSON, and what happens to
// it are lines of JSON on stdout.

import { connect } from 'adasum'

/**
 * @typedef {object} Plan
 * @property {import('adasum').ConnectOptions} place
 * @property {'reduces' | 'sends' | 'waits' | 'works'} does after a first barrier, if there is one; to wait is to begin nothing, to work to
 * reduce again and again
 * @property {boolean} [barrier] whether all ranks know each other before that; by default they do
 * @property {number} [failureTimeoutMs]
 * @property {number} [forMs] for how long it works
 * @property {number} [busyMs] for how long its event loop stands still, once the call has begun
 *
 * @typedef {object} Line
 * @property {'started' | 'connected' | 'begun' | 'failed' | 'done'} event
 * @property {string} [code]
 * @property {number} [peerRank]
 * @property {string} [message]
 * @property {number} at when it happened, by the clock that all processes of a machine share, in milliseconds
 */

const ELEMENT_COUNT = 8 << 20

/** @param {Omit<Line, 'at'>} line */
const say = (line) => console.log(JSON.stringify({ ...line, at: Date.now() }))

/** @param {unknown} error */
function sayFailed(error) {
  const { code = 'none', message, peerRank } = /** @type {import('adasum').AdasumError} */ (error)
  say({ event: 'failed', code, message, ...(peerRank !== undefined && { peerRank }) })
}

/** @param {number} forMs */
function compute(forMs) {
  const end = performance.now() + forMs
  while (performance.now() < end);
}

/** Reduces small arrays until rank 0 has done so for long enough. @param {import('adasum').Communicator} comm @param {number} forMs */
async function work(comm, forMs) {
  const end = performance.now() + forMs
  const data = new Float64Array(1000)
  for (let goesOn = true; goesOn; goesOn = data[0] !== 0) {
    data.fill(comm.rank === 0 && performance.now() > end ? 0 : 1, 0, 1)
    await comm.broadcast(data, { root: 0 })
    await comm.allReduce(Float64Array.of(comm.rank), { op: 'sum' })
  }
}

/** @param {import('adasum').Communicator} comm @param {Plan} plan */
async function call(comm, { does, forMs = 0, busyMs = 0 }) {
  if (does === 'works') {
    await work(comm, 0)
    // Rank 0 waits for the others meanwhile.
    if (comm.rank > 0) compute(busyMs)
    return work(comm, forMs)
  }
  const data = new Float32Array(ELEMENT_COUNT).fill(comm.rank)
  const last = comm.size - 1
  if (does === 'sends' && comm.rank === last) return comm.receive(data, { from: 0 })
  if (does === 'sends' && comm.rank === 0) return comm.send(data, { to: last })
  if (does === 'sends') return comm.barrier()
  return comm.allReduce(data, { op: 'sum' })
}

/** @param {Plan} plan */
async function main(plan) {
  const { place, does, barrier = true, busyMs = 0, failureTimeoutMs } = plan
  say({ event: 'started' })
  const comm = await connect({ ...place, ...(failureTimeoutMs !== undefined && { failureTimeoutMs }) })
  if (barrier) await comm.barrier()
  say({ event: 'connected' })
  if (does === 'waits') {
    // A line on stdin ends the wait.
    await new Promise((resolve) => process.stdin.once('data', resolve))
    process.stdin.destroy()
    const calling = comm.barrier()
    say({ event: 'begun' })
    await calling
  } else {
    const calling = call(comm, plan)
    say({ event: 'begun' })
    if (busyMs > 0 && does !== 'works') setTimeout(() => compute(busyMs), 1000)
    await calling
  }
  say({ event: 'done' })
  await comm.close()
}

await main(JSON.parse(process.argv[2] ?? '{}')).catch(sayFailed)
