// Rank 0 of a world of two, which hosts the store: `_victim.mjs`. It waits in a call for its peer while strangers come, joins
// another world whenever it is told to, and tells what became of its memory.
import { readFileSync } from 'node:fs'
import { connect } from 'adasum'

const ELEMENT_COUNT = 100_000
const tell = (message) => new Promise((resolve) => process.send(message, resolve))

/** Kibibytes of a line of /proc/self/status, in bytes. */
const sizeOf = (name) =>
  1024 * Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(readFileSync('/proc/self/status', 'utf8'))?.[1])

const comm = await connect()
await comm.barrier()
const waiting = { into: new Float32Array(ELEMENT_COUNT).fill(0.5), call: undefined }

const ACTS = {
  /** Begins to wait for an array that its peer sends once the attack is over. */
  wait: () => {
    waiting.into.fill(0.5)
    waiting.call = comm.receive(waiting.into, { from: 1 })
    waiting.call.catch(() => undefined)
  },
  isUntouched: () => waiting.into.every((x) => x === 0.5),
  received: async () => {
    await waiting.call
    return waiting.into.every((x) => x === 2)
  },
  join: async () => {
    const again = await connect()
    await again.barrier()
    await again.close()
  },
  memory: () => ({ rss: sizeOf('VmRSS'), peak: sizeOf('VmHWM') }),
  /** Leaves its world, and lives on. */
  leave: () => comm.close(),
}

process.on('message', async ({ id, act }) => {
  try {
    await tell({ id, value: await ACTS[act]() })
  } catch (error) {
    await tell({ id, failure: { code: error.code, message: error.message } })
  }
})
await tell({ id: 0 })
