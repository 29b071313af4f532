// One rank of a world whose second collective fails: `_rank.mjs <plan as JSON>`. It tells its parent what it saw and is
// then left to end by itself. Communicators that have failed are never closed: that is the point.
import { readSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { AdasumError, adasumSync, connect } from 'adasum'

/** @type {import('./_processes.ts').Plan} */
const plan = JSON.parse(process.argv[2] ?? '')

// Small enough for all ranks to check it quickly, yet cut across the ranks by the schedule for large vectors.
const CHECKED_ELEMENTS = 10_007
const EAGER_BYTES = 64 << 10
const STRIKE_AFTER_MS = 5

/** Numbers that every rank can compute for any other, by integer arithmetic alone. */
function inputOf(rank, elementCount, seed = 1) {
  const input = new Float32Array(elementCount)
  let state = seed + rank * 7919
  for (let i = 0; i < elementCount; i++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    input[i] = state / 2 ** 32 - 0.4
  }
  return input
}

const bytesOf = (array) => Buffer.from(array.buffer, array.byteOffset, array.byteLength)
const areEqual = (a, b) => bytesOf(a).equals(bytesOf(b))
const tell = (message) => new Promise((resolve) => process.send(message, resolve))

/**
 * Success is local: without the parent's word a rank could still be in the first collective when the second one fails
 * on another.
 */
async function permission() {
  const given = new Promise((resolve) => process.once('message', resolve))
  await tell({ type: 'ready' })
  await given
}

/** Whether an all-reduce gives the bits that one process computes from all inputs. */
async function isExact(comm, seed) {
  const inputs = Array.from({ length: comm.size }, (_, rank) => inputOf(rank, CHECKED_ELEMENTS, seed))
  const expected = adasumSync(inputs.map((input) => input.slice())).result
  const { result } = await comm.allReduce(inputs[comm.rank], { op: 'adasum' })
  return areEqual(result, expected)
}

const controller = new globalThis.AbortController()
const STRIKES = {
  'kills itself': () => process.kill(process.pid, 'SIGKILL'),
  exits: () => process.exit(0),
  aborts: () => controller.abort(new Error('enough')),
  // The loop stands still until the parent has done what it wants: the collective cannot complete meanwhile.
  waits: () => {
    void tell({ type: 'begun' })
    readSync(0, new Uint8Array(1))
  },
}

/** Starts the second collective and, if this rank is the one to deviate, strikes while the others need it. */
async function second(comm, data, deviation) {
  const op = deviation === 'calls another op' ? 'sum' : 'adasum'
  const call = comm.allReduce(data, { op, signal: controller.signal, ...plan.options })
  const strike = STRIKES[deviation]
  call.catch(() => undefined)
  if (!strike) {
    await tell({ type: 'begun' })
    return call
  }
  // A large message must be under way when it is cut; a small one would have come before anything could happen to it.
  if (data.byteLength > EAGER_BYTES) await sleep(STRIKE_AFTER_MS)
  strike()
  return call
}

async function failureOf(call) {
  try {
    await call
    return { code: 'none', message: 'the call succeeded', isOurs: false }
  } catch (error) {
    const { code, message, rank, peerRank, sequence, lastCompleted } = error
    return { code, message, rank, peerRank, sequence, lastCompleted, isOurs: error instanceof AdasumError }
  }
}

async function failingWorld() {
  const comm = await connect()
  const deviation = comm.rank === plan.deviant ? plan.deviation : 'none'
  const data = inputOf(comm.rank, plan.elementCount + (deviation === 'passes another length' ? 1 : 0))
  const copy = data.slice()
  const wasExact = await isExact(comm)
  await permission()
  const begin = performance.now()
  const failure = await failureOf(second(comm, data, deviation))
  const failedAfterMs = performance.now() - begin
  const later = [
    await failureOf(comm.barrier()),
    await failureOf(comm.allReduce(new Float32Array(10), { op: 'adasum' })),
    await failureOf(comm.broadcast(new Float32Array(plan.elementCount))),
    await failureOf(comm.allGather(new Int32Array(3))),
  ]
  return { wasExact, failure, failedAfterMs, later, isUnchanged: areEqual(data, copy) }
}

async function nextWorld() {
  const comm = await connect()
  const wasExact = await isExact(comm, 2)
  // Whoever leaves without a goodbye while the others still compute has failed them.
  await comm.close()
  return wasExact
}

const seen = plan.joinsLate ? {} : await failingWorld()
const next = plan.connectsAgain ? { wasExactAgain: await nextWorld() } : {}
await tell({ type: 'report', ...seen, ...next })
process.disconnect()
