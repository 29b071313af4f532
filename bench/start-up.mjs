// What importing the package costs a process: time and memory, medians of fresh processes, beside an empty module.
//
//     npm run --silent bench:start-up [-- --json] [--rounds 21]

import { execFileSync } from 'node:child_process'
import { parseArgs } from 'node:util'

const { values: options } = parseArgs({
  options: { json: { type: 'boolean', default: false }, rounds: { type: 'string', default: '21' } },
})
const rounds = Number(options.rounds)
if (!(Number.isInteger(rounds) && rounds > 0)) throw new Error(`--rounds is ${options.rounds}: a whole number from 1`)

const ENTRIES = ['data:text/javascript,', 'adasum', 'adasum/optim', 'adasum/checkpoint']

/**
 * @param {string} entry
 * @returns {{ ms: number, heapBytes: number }}
 */
function importOnce(entry) {
  const program = `
    globalThis.gc()
    const before = process.memoryUsage().heapUsed
    const begin = performance.now()
    await import(${JSON.stringify(entry)})
    const ms = performance.now() - begin
    globalThis.gc()
    console.log(JSON.stringify({ ms, heapBytes: process.memoryUsage().heapUsed - before }))`
  const cwd = new URL('..', import.meta.url)
  const args = ['--expose-gc', '--input-type=module', '--eval', program]
  return JSON.parse(execFileSync(process.execPath, args, { cwd, encoding: 'utf8' }))
}

/** @param {number[]} numbers */
const median = (numbers) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? NaN

/** @type {Map<string, { ms: number, heapBytes: number }[]>} */
const figures = new Map(ENTRIES.map((entry) => [entry, []]))
for (let round = 0; round < rounds; round++) for (const [entry, found] of figures) found.push(importOnce(entry))

for (const [entry, found] of figures) {
  const name = entry.startsWith('data:') ? 'an empty module' : entry
  const [ms, heapBytes] = [median(found.map((one) => one.ms)), median(found.map((one) => one.heapBytes))]
  if (options.json) console.log(JSON.stringify({ entry: name, ms, heapBytes, rounds }))
  else
    console.log(`${name.padEnd(20)} ${ms.toFixed(1).padStart(6)} ms  ${(heapBytes / 2 ** 20).toFixed(2)} MiB of heap`)
}
