// Every call that computes or moves something, on one communicator: what a rank of a world runs, whatever computes there.

import { createHash } from 'node:crypto'

/** @typedef {import('../../ts/src/communicator/communicator.ts').Communicator} Communicator */

const FLOATS = /** @type {const} */ (['f32', 'f64', 'f16', 'bf16'])
const INTEGERS = /** @type {const} */ (['u8', 'i32', 'u32', 'i64', 'u64'])
const COUNT = 17_011
const SEGMENTS = [7, 0, 11_000, 6004]
/** With `TUNING` long enough to be reduced off the main thread, and while it comes. */
const LONG = 80_003

/** Lengths from which on something is done otherwise are short, so that all of it is done. */
export const TUNING = { offThreadByteLength: 50_000, streamByteLength: 100_000, scatterByteLength: 100_000 }

/**
 * Numbers of any dtype, different on every rank.
 * @param {any} array @param {string} name @param {number} seed
 */
export function fill(array, name, seed) {
  let state = 2463534242 + seed * 7919
  for (let i = 0; i < array.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    if (name === 'f16' || name === 'bf16') array[i] = (name === 'f16' ? 0x3800 : 0x3f00) + (state >>> 24)
    else if (name === 'i64' || name === 'u64') array[i] = BigInt(state)
    else array[i] = name.startsWith('f') ? state / 2 ** 32 - 0.4 : state
  }
  return array
}

/** @param {...any} results arrays, or what has a JSON form */
function digestOf(...results) {
  const hash = createHash('sha256')
  for (const result of results)
    hash.update(
      ArrayBuffer.isView(result)
        ? new Uint8Array(result.buffer, result.byteOffset, result.byteLength)
        : JSON.stringify(result),
    )
  return hash.digest('hex').slice(0, 16)
}

/**
 * Digests of the results, by the name of what was called. Those of one name are the same on all ranks unless it begins with
 * `own`.
 *
 * @param {Communicator} comm
 * @param {new (options: any) => any} Compressor
 * @returns {Promise<Record<string, string>>}
 */
export async function everyCall(comm, Compressor) {
  /** @type {Record<string, string>} */
  const digests = {}
  /** @param {string} name @param {any} options @param {(data: any) => any} [change] */
  const reduce = async (name, { dtype = 'f32', count = COUNT, segments = SEGMENTS, ...options }, change = (x) => x) => {
    const data = change(fill(comm.allocate(dtype, count), dtype, comm.rank))
    const half = dtype === 'f16' || dtype === 'bf16' ? { dtype } : {}
    const reduced = await comm.allReduce(data, {
      ...(count === COUNT && segments && { segments }),
      ...half,
      ...options,
    })
    digests[name] = digestOf(reduced.result, reduced.segments, reduced.nonFiniteRanks)
    return reduced
  }
  const algorithms = comm.size > 16 ? ['levels'] : ['direct', 'single-shot', 'levels']
  await reductions(comm, reduce, algorithms)
  await variants(comm, reduce, Compressor, algorithms)
  await moves(comm, digests)
  return digests
}

/** @param {Communicator} comm @param {(name: string, options: any) => Promise<any>} reduce @param {string[]} algorithms */
async function reductions(comm, reduce, algorithms) {
  // Large worlds take long, and differ in the schedule alone.
  const isLarge = comm.size > 16
  for (const algorithm of algorithms) {
    for (const dtype of isLarge ? FLOATS.slice(1, 3) : FLOATS)
      for (const op of isLarge ? ['adasum', 'min'] : ['sum', 'average', 'adasum', 'min', 'max'])
        await reduce(`${algorithm} ${dtype} ${op}`, { dtype, op, algorithm })
    for (const dtype of isLarge ? INTEGERS.slice(1, 2) : INTEGERS)
      for (const op of ['sum', 'min', 'max']) await reduce(`${algorithm} ${dtype} ${op}`, { dtype, op, algorithm })
    for (const op of isLarge ? ['adasum'] : ['sum', 'adasum'])
      await reduce(`${algorithm} long ${op}`, { op, algorithm, count: LONG, out: comm.allocate('f32', LONG) })
  }
}

/**
 * @param {Communicator} comm
 * @param {(name: string, options: any, change?: (data: any) => any) => Promise<any>} reduce
 * @param {new (options: any) => any} Compressor
 * @param {string[]} algorithms
 */
async function variants(comm, reduce, Compressor, algorithms) {
  for (const dtype of ['f16', 'bf16'])
    for (const op of ['adasum', 'max'])
      await reduce(`${dtype} ${op} as f32`, { dtype, op, out: comm.allocate('f32', COUNT) })
  await reduce('with coefficients', { op: 'adasum', coefficients: true, algorithm: algorithms.at(-1) })
  // Rank 0 and 1 nearly cancel: the Gram matrix has too few digits left, and products are taken once more.
  const cancelling = (/** @type {Float32Array} */ data) => {
    if (comm.rank < 2)
      fill(data, 'f32', 0).forEach(
        (/** @type {number} */ x, /** @type {number} */ i) => (data[i] = comm.rank === 0 ? x : -x * (1 + 1e-6)),
      )
    return data
  }
  for (const algorithm of algorithms) await reduce(`${algorithm} cancelling`, { op: 'adasum', algorithm }, cancelling)
  const spoilt = (/** @type {Float32Array} */ data) => (comm.rank === 1 && (data[9] = NaN), data)
  for (const op of ['adasum', 'average']) await reduce(`skip ${op}`, { op, onNonFinite: 'skip' }, spoilt)
  await reduce('in buckets', { op: 'adasum', bucketBytes: 20_000, algorithm: algorithms.at(-1) })
  const named = (/** @type {Float32Array} */ data) => ({ a: data.slice(0, 9), b: data.slice(9) })
  await reduce('names', { op: 'adasum', segments: null }, named)
  await reduce('micro-batches', { local: 'sum', op: 'adasum' }, (data) => [
    data,
    data.map((/** @type {number} */ x) => x / 3 + 1),
  ])
  for (const innerOp of comm.size > 16 ? ['adasum'] : ['sum', 'average', 'adasum'])
    await reduce(`hierarchy ${innerOp}`, { op: 'adasum', hierarchy: innerOp })
  for (const format of comm.size > 16 ? ['int8'] : ['f16', 'bf16', 'int8'])
    for (const how of [...algorithms.map((algorithm) => ({ algorithm })), { hierarchy: 'sum' }]) {
      const compressor = new Compressor({ format })
      for (const step of [1, 2])
        await reduce(`${Object.values(how)} ${format} step ${step}`, { op: 'adasum', compressor, ...how })
    }
}

/** @param {Communicator} comm @param {Record<string, string>} digests */
async function moves(comm, digests) {
  const { rank, size } = comm
  const data = fill(new Float32Array(COUNT), 'f32', rank)
  const counts = Array.from({ length: size }, (_, peer) => (peer === 0 ? COUNT - 5 * (size - 1) : 5))
  for (const op of /** @type {const} */ (['sum', 'adasum', 'max'])) {
    const { result, segments } = await comm.reduceScatter(data, { op, counts, segments: SEGMENTS })
    digests[`own reduce-scatter ${op}`] = digestOf(result)
    digests[`reduce-scatter ${op}`] = digestOf(segments)
  }
  for (const count of [10, LONG])
    digests[`broadcast ${count}`] = digestOf(
      await comm.broadcast(fill(comm.allocate('f32', count), 'f32', rank), { root: size - 1 }),
    )
  digests['all-gather'] = digestOf(await comm.allGather(data))
  const uneven = await comm.allGather(data.subarray(0, 100 * rank), { uneven: true })
  digests['uneven all-gather'] = digestOf(uneven.result, uneven.counts)
  digests['own all-to-all'] = digestOf((await comm.allToAll(data, { counts })).result)
  const into = new Float32Array(COUNT)
  await Promise.all([
    comm.send(data, { to: (rank + 1) % size }),
    comm.receive(into, { from: (rank + size - 1) % size }),
  ])
  digests['own message'] = digestOf(into)
  const half = await comm.split(rank % 2)
  digests['own group'] = digestOf((await half?.allReduce(data, { op: 'adasum' }))?.result)
  await comm.barrier()
}
