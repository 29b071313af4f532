// Worlds whose ranks all live in this process: connected, used for one collective, closed, again and again.
// _worlds.mjs <ranks> <whether they share memory: 0 or 1> <worlds> <stall in ms> <call> [<call> ...], as for _rank.mjs.

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

const [size = '2', sharesMemory = '1', worlds = '1', stallMs = '1000', ...names] = process.argv.slice(2)
const store = `127.0.0.1:${await freePort()}`
const options = { size: Number(size), store, sharedMemory: sharesMemory === '1' }

/** @param {number} rank @param {string} name */
async function live(rank, name) {
  return callAndClose(await connect({ ...options, rank }), name, Number(stallMs))
}

for (let i = 0; i < Number(worlds); i++)
  for (const name of names) {
    const found = await Promise.all(Array.from({ length: options.size }, (_, rank) => live(rank, name)))
    for (const problem of found) if (problem !== undefined) console.log(`problem: ${problem}`)
  }
