// Worlds whose ranks all live in this process: connected, used for one collective, closed, again and again.

import { createServer } from 'node:net'
import { once } from 'node:events'
import { connect } from 'adasum'
import { callAndClose } from './_calls.mjs'

/** @returns {Promise<number>} */
async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = /** @type {import('node:net').AddressInfo} */ (server.address())
  server.close()
  await once(server, 'close')
  return address.port
}

/**
 * @param {{ size: number, runs: number, sharedMemory: boolean, stallMs: number, names: readonly string[], connectionsPerPeer?: number }} options
 * @returns {Promise<string[]>} what went wrong
 */
export async function runWorlds({ size, runs, sharedMemory, stallMs, names, connectionsPerPeer = 1 }) {
  const store = `127.0.0.1:${await freePort()}`
  /** @type {string[]} */
  const problems = []
  for (let run = 0; run < runs; run++)
    for (const name of names) {
      const live = async (/** @type {number} */ rank) => {
        const comm = await connect({ rank, size, store, sharedMemory, tuning: { connectionsPerPeer } })
        return callAndClose(comm, name, stallMs)
      }
      const found = await Promise.all(Array.from({ length: size }, (_, rank) => live(rank)))
      problems.push(...found.filter((problem) => problem !== undefined))
    }
  return problems
}
