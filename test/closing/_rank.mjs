// A rank that connects, calls one collective and closes, once or again and again. Run under `adasum run`:
// _rank.mjs <worlds> <stall in ms> <call> [<call> ...], each call as often as there are worlds. Says what went wrong.

import { connect } from 'adasum'
import { callAndClose } from './_calls.mjs'

const [worlds = '1', stallMs = '1000', ...names] = process.argv.slice(2)
let count = 0
for (let i = 0; i < Number(worlds); i++)
  for (const name of names) {
    const problem = await callAndClose(await connect(), name, Number(stallMs))
    if (problem !== undefined && ++count <= 50) console.log(`problem: ${problem}`)
  }
// Not by itself: whoever has awaited close owes nobody anything.
process.exit(0)
