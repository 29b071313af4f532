#!/usr/bin/env node
// Each collective as the only one before close, among 2 to 9 ranks, over TCP and shared memory: in processes that meet again and
// again, in worlds of one process, and in fresh processes. Nothing may fail or stand still. `npm run test:closing` runs it; the
// last line counts runs: one is one world.
//
//   --runs <n>    of each collective for each number of ranks and transport (200)
//   --cold <n>    of the same in fresh processes (25)
//   --jobs <n>    worlds at the same time (half the cores)
//   --stall <ms>  what takes longer has stood still (1000)
//   --sizes <list of numbers>  numbers of ranks (2,3,4,5,6,7,8,9)

import { spawn } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { CALLS } from '../test/closing/_calls.mjs'
import { summaryLine } from './lib/results.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const RANK = join('test', 'closing', '_rank.mjs')
const WORLDS = join('test', 'closing', '_worlds.mjs')
/** The limit for the processes of one command. Those that hang are ended, and all their runs have failed. */
const LIMIT_MS = 10 * 60_000
/** Runs of each command: few, so that a failure is seen soon. */
const WORLDS_A_COMMAND = 20

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '200' },
    cold: { type: 'string', default: '25' },
    jobs: { type: 'string', default: `${Math.max(1, availableParallelism() >> 1)}` },
    stall: { type: 'string', default: '1000' },
    sizes: { type: 'string', default: '2,3,4,5,6,7,8,9' },
  },
})
const [runs, cold, jobs] = [Number(values.runs), Number(values.cold), Number(values.jobs)]
const sizes = values.sizes.split(',').map(Number)
const names = Object.keys(CALLS)
const transports = process.platform === 'win32' ? ['tcp'] : ['tcp', 'shared memory']

/**
 * @typedef {object} Command
 * @property {string} title
 * @property {readonly string[]} args
 * @property {string} transport
 * @property {number} worlds
 */

/** @param {number} size @param {string} transport @param {number} worlds @param {readonly string[]} calls @returns {Command} */
function processes(size, transport, worlds, calls) {
  const args = [join('bin', 'adasum.js'), 'run', '-n', `${size}`, RANK, `${worlds}`, values.stall, ...calls]
  return { title: `${size} processes, ${transport}`, args, transport, worlds: worlds * calls.length }
}

/** @param {number} size @param {string} transport @param {number} worlds @returns {Command} */
function inOneProcess(size, transport, worlds) {
  const args = [WORLDS, `${size}`, transport === 'tcp' ? '0' : '1', `${worlds}`, values.stall, ...names]
  return { title: `${size} ranks of one process, ${transport}`, args, transport, worlds: worlds * names.length }
}

/** @returns {Command[]} */
function commands() {
  /** @type {Command[]} */
  const all = []
  for (const size of sizes)
    for (const transport of transports) {
      for (let left = runs; left > 0; left -= WORLDS_A_COMMAND) {
        const worlds = Math.min(left, WORLDS_A_COMMAND)
        all.push(processes(size, transport, worlds, names), inOneProcess(size, transport, worlds))
      }
      for (const name of names) for (let i = 0; i < cold; i++) all.push(processes(size, transport, 1, [name]))
    }
  return all
}

/** @param {Command} command @returns {Promise<string[]>} what went wrong */
function run({ title, args, transport }) {
  const env = { ...process.env, ADASUM_SHARED_MEMORY: transport === 'tcp' ? '0' : '1' }
  const child = spawn(process.execPath, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  const limit = setTimeout(() => child.pid !== undefined && process.kill(-child.pid, 'SIGKILL'), LIMIT_MS)
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (/** @type {string} */ text) => (output += text))
  return new Promise((resolve) => {
    child.on('close', (exitCode) => {
      clearTimeout(limit)
      const problems = output.split('\n').filter((line) => line.includes('problem: '))
      if (exitCode !== 0) problems.push(`exit code ${exitCode ?? 'none'}: ${output.slice(-500)}`)
      resolve(problems.map((problem) => `${title}: ${problem}`))
    })
  })
}

const queue = commands()
let [passed, failed] = [0, 0]

async function work() {
  for (let command = queue.shift(); command !== undefined; command = queue.shift()) {
    const problems = await run(command)
    for (const problem of problems) console.log(`not ok - ${problem}`)
    const bad = Math.min(problems.length, command.worlds)
    failed += bad
    passed += command.worlds - bad
  }
}

const progress = setInterval(
  () => console.log(`${passed} passed, ${failed} failed so far; ${queue.length} commands left`),
  60_000,
)
await Promise.all(Array.from({ length: jobs }, work))
clearInterval(progress)
console.log(summaryLine({ passed, failed, skipped: 0, notes: [] }))
if (failed > 0) process.exitCode = 1
