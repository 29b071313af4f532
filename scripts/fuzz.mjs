#!/usr/bin/env node
// Fuzzes every parser of bytes and text from outside. `npm run fuzz` runs it, with `-- --inputs 10000000` for so many inputs in
// all, `--seed 1` for the ones of another run, `--only frames` for one target, and `--keep` to add to test/fuzz/corpus what has been
// found; the last line counts the targets. Those in TypeScript are run by test/fuzz/worker.ts, each in a process of its own;
// those of the crates by libFuzzer.

import { availableParallelism } from 'node:os'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { crateTargets } from './lib/fuzz-crates.mjs'
import { sourceTargets } from './lib/fuzz-sources.mjs'
import { wholeNumber } from './lib/options.mjs'
import { sum, summaryLine } from './lib/results.mjs'
import { endToolsOnSignals } from './lib/tool.mjs'

/**
 * @typedef {object} Fault
 * @property {string} fault what is wrong
 * @property {string} [input] in base64
 *
 * @typedef {object} Outcome
 * @property {number} inputs
 * @property {readonly Fault[]} faults
 * @property {string} words about the run
 *
 * @typedef {object} FuzzTarget
 * @property {string} name
 * @property {number} share of the inputs, beside the other targets
 * @property {(inputs: number, seed: number, keeps: boolean) => Promise<Outcome>} run
 */

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const DEFAULT_INPUTS = '100000'
const LARGEST_SEED = 2 ** 31

const { values } = parseArgs({
  options: {
    inputs: { type: 'string', default: DEFAULT_INPUTS },
    seed: { type: 'string', default: process.env['ADASUM_SEED'] ?? `${1 + Math.floor(Math.random() * LARGEST_SEED)}` },
    only: { type: 'string' },
    keep: { type: 'boolean', default: false },
  },
})
const inputs = wholeNumber('--inputs', values.inputs)
const seed = wholeNumber('--seed', values.seed)

/** @param {string} text */
const say = (text) => console.log(`fuzz: ${text}`)

/**
 * @param {FuzzTarget} target
 * @param {number} count
 * @returns {Promise<import('./lib/results.mjs').Counts>}
 */
async function fuzz({ name, run }, count) {
  const begin = performance.now()
  const { inputs, faults, words } = await run(count, seed, values.keep)
  const seconds = ((performance.now() - begin) / 1000).toFixed(1)
  say(`${name}: ${inputs.toLocaleString('en')} inputs, ${words}, ${faults.length} faults, in ${seconds} s`)
  for (const { fault, input } of faults) console.log(`  ${JSON.stringify({ input, fault })}`)
  const notes = faults.map(
    ({ fault }) => `failed: fuzz ${name}, seed ${seed}: ${fault.slice(0, 200).replaceAll('\n', ' ')}`,
  )
  return { passed: Number(faults.length === 0), failed: Number(faults.length > 0), skipped: 0, notes }
}

/**
 * @param {readonly FuzzTarget[]} targets
 * @returns {Promise<import('./lib/results.mjs').Counts[]>}
 */
async function fuzzAll(targets) {
  const shares = targets.reduce((all, { share }) => all + share, 0)
  const waiting = [...targets]
  /** @type {import('./lib/results.mjs').Counts[]} */
  const results = []
  const work = async () => {
    for (let target = waiting.shift(); target !== undefined; target = waiting.shift())
      results.push(await fuzz(target, Math.ceil((inputs * target.share) / shares)))
  }
  await Promise.all(Array.from({ length: availableParallelism() }, work))
  return results
}

endToolsOnSignals()
say(`seed ${seed}`)
const { targets: ofCrates, missing } = await crateTargets(root, say, values.only)
const all = [...(await sourceTargets(root)), ...ofCrates]
const chosen = all.filter(({ name }) => values.only === undefined || name === values.only)
if (chosen.length === 0 && missing === undefined)
  throw new Error(`--only ${values.only} is no target; there are ${all.map(({ name }) => name).join(', ')}`)
const results = await fuzzAll(chosen)
if (missing !== undefined)
  results.push({ passed: 0, failed: 0, skipped: 2, notes: [`skipped: fuzzing of the crates: ${missing}`] })
const total = sum(results)
for (const note of total.notes) console.log(note)
console.log(summaryLine(total))
if (total.failed > 0) process.exitCode = 1
