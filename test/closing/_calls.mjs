// Each collective as the only one before close: what a rank calls, and what must come of it. Used by processes (_rank.mjs) and by
// worlds of one process (_worlds.mjs).

/** @typedef {import('adasum').Communicator} Communicator */

/** Longer than what is sent unasked. */
const LONG = 32 << 10

/** @param {boolean} isRight @param {string} what */
function check(isRight, what) {
  if (!isRight) throw new Error(`${what}: a wrong value`)
}

/** @param {Communicator} comm @param {number} length @param {number} root */
async function broadcast(comm, length, root = 0) {
  const data = new Float32Array(length).fill(comm.rank === root ? 7 : 0)
  await comm.broadcast(data, { root })
  check(data[0] === 7 && data[length - 1] === 7, 'broadcast')
}

/** @param {Communicator} comm @param {number} length @param {'sum' | 'adasum'} op */
async function allReduce(comm, length, op) {
  const data = new Float32Array(length).fill(1)
  await comm.allReduce(data, { op })
  // Equal gradients: Adasum gives one of them.
  const want = op === 'sum' ? comm.size : 1
  check(
    [data.at(0), data.at(-1)].every((x = NaN) => Math.abs(x - want) < 1e-5),
    op,
  )
}

/** @param {Communicator} comm @param {number} length */
async function allGather(comm, length) {
  const all = await comm.allGather(new Float32Array(length).fill(comm.rank))
  for (let rank = 0; rank < comm.size; rank++) check(all[rank * length] === rank, 'all-gather')
}

/** @param {Communicator} comm @param {number} length of a part */
async function reduceScatter(comm, length) {
  const { result } = await comm.reduceScatter(new Float32Array(length * comm.size).fill(1), { op: 'sum' })
  check(result.length === length && result[0] === comm.size, 'reduce-scatter')
}

/** From the first rank to the last. @param {Communicator} comm @param {number} length */
async function message(comm, length) {
  const last = comm.size - 1
  if (comm.rank === 0) await comm.send(new Float32Array(length).fill(5), { to: last })
  if (comm.rank !== last) return
  const data = await comm.receive(new Float32Array(length), { from: 0 })
  check(data[length - 1] === 5, 'message')
}

/** A group of every other rank, which closes before the world does. @param {Communicator} comm @param {number} length */
async function inGroup(comm, length) {
  const group = await comm.split(comm.rank % 2)
  if (group === undefined) throw new Error('no group')
  await broadcast(group, length, group.size - 1)
  await group.close()
}

/** @type {Record<string, (comm: Communicator) => Promise<void>>} */
export const CALLS = {
  broadcast: (comm) => broadcast(comm, 10),
  'long broadcast': (comm) => broadcast(comm, LONG),
  sum: (comm) => allReduce(comm, 10, 'sum'),
  adasum: (comm) => allReduce(comm, 10, 'adasum'),
  'long adasum': (comm) => allReduce(comm, 2 * LONG, 'adasum'),
  'all-gather': (comm) => allGather(comm, 10),
  'reduce-scatter': (comm) => reduceScatter(comm, 10),
  barrier: (comm) => comm.barrier(),
  message: (comm) => message(comm, 10),
  'long message': (comm) => message(comm, LONG),
  'group broadcast': (comm) => inGroup(comm, 10),
  'long group broadcast': (comm) => inGroup(comm, LONG),
}

/**
 * Calls, closes, and says what went wrong: a failure, or a call that took longer than any on an idle connection does.
 *
 * @param {Communicator} comm
 * @param {string} name
 * @param {number} stallMs
 * @returns {Promise<string | undefined>}
 */
export async function callAndClose(comm, name, stallMs) {
  const call = CALLS[name]
  if (call === undefined) throw new Error(`there is no call ${name}`)
  const where = `rank ${comm.rank} of ${comm.size}, ${name}`
  await hesitate()
  const begin = performance.now()
  /** @type {number} */
  let closing
  try {
    await call(comm)
  } catch (error) {
    return `${where}: ${error}`
  } finally {
    closing = performance.now()
    await comm.close()
  }
  const callMs = Math.round(closing - begin)
  const closeMs = Math.round(performance.now() - closing)
  return callMs + closeMs > stallMs ? `${where}: the call took ${callMs} ms, closing ${closeMs} ms` : undefined
}

/** Ranks do not come at the same moment: some wait, some compute. */
async function hesitate() {
  const ms = Math.random() * 5
  const kind = Math.random()
  if (kind < 0.4) return
  if (kind < 0.7) return new Promise((resolve) => setTimeout(resolve, ms))
  for (const end = performance.now() + ms; performance.now() < end;);
}
