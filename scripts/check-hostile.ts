// How soon a rank joins while somebody without the secret attacks a port of rank 0, and what that costs rank 0:
//
//     npm run --silent check:hostile -- --json [--joins 10] [--only flood,garbage] [--place plain]
//
// A line an attack and port: the times of the ranks that came meanwhile, and by how much the memory of rank 0 grew at most. Exits
// with 1 if a rank needed a second or more, or the memory grew by 32 MiB. Linux.

import { parseArgs } from 'node:util'
import { ATTACKS } from '../test/faults/hostile/_attacks.ts'
import { ENCRYPTED, PLAIN, PORT_NAMES, Stage, suffer } from '../test/faults/hostile/_stage.ts'
import { wholeNumber } from './lib/options.mjs'

const MOST_MS = 1000
const MOST_MEBIBYTES = 32

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    joins: { type: 'string', default: '10' },
    only: { type: 'string' },
    place: { type: 'string' },
  },
})
const joins = wholeNumber('--joins', values.joins)
const names = values.only?.split(',') ?? Object.keys(ATTACKS)
const unknown = names.find((name) => !(name in ATTACKS))
if (unknown !== undefined)
  throw new Error(`there is no attack ${unknown}; there are ${Object.keys(ATTACKS).join(', ')}`)
const seed = Number(process.env['ADASUM_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
console.error(`seed ${seed}`)

for (const place of [PLAIN, ENCRYPTED].filter(({ name }) => name.startsWith(values.place ?? ''))) {
  const stage = await Stage.open(place)
  for (const port of PORT_NAMES) for (let join = 0; join < 10; join++) await stage.joinMs(port)
  for (const attack of names)
    for (const port of PORT_NAMES) {
      const found = await suffer(stage, port, await ATTACKS[attack]!(stage, port, seed), joins)
      const ms = found.joinMs.toSorted((a, b) => a - b).map(Math.round)
      const joinMs = { p50: ms[ms.length >> 1]!, max: ms.at(-1)! }
      const rssMiB = Number(found.rssMiB.toFixed(1))
      if (values.json) console.log(JSON.stringify({ attack, port, place: place.name, joinMs, rssMiB }))
      else console.log(`${place.name}: ${attack}, ${port}: p50 ${joinMs.p50} ms, max ${joinMs.max} ms, ${rssMiB} MiB`)
      if (joinMs.max >= MOST_MS || rssMiB >= MOST_MEBIBYTES) process.exitCode = 1
    }
  await stage.close()
}
// The heartbeat's thread, where there is none of its own, is this one.
process.exit()
