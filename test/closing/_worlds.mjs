// Worlds whose ranks all live in this process: connected, used for one collective, closed, again and again.
// _worlds.mjs <ranks> <whether they share memory: 0 or 1> <worlds> <stall in ms> <call> [<call> ...], as for _rank.mjs.

import { connect } from 'adasum'
import { freePort } from '../_free-port.mjs'
import { callAndClose } from './_calls.mjs'

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
