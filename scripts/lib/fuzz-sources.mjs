// Targets of fuzzing that are written in TypeScript: each run is a process of its own, which is watched from here, since an input
// may end it, or keep it busy for ever.

import { spawn } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, readSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runTool } from './tool.mjs'

/** For one input. It judges itself much sooner, by the time that it computes; this is for one that never returns. */
const LIMIT_MS = 180_000
const LOOK_EVERY_MS = 1000
const NODE_OPTIONS = ['--conditions=adasum-source', '--import=tsx', '--max-old-space-size=1024']
const WORKER = join('test', 'fuzz', 'worker.ts')
const HEAD_BYTE_LENGTH = 12

/**
 * @param {string} root
 * @returns {Promise<import('../fuzz.mjs').FuzzTarget[]>}
 */
export async function sourceTargets(root) {
  const output = await runTool('node', process.execPath, [...NODE_OPTIONS, WORKER, '--list'], {
    cwd: root,
    quiet: true,
  })
  /** @type {{ name: string, share: number }[]} */
  const listed = JSON.parse(lastLineOf(output))
  return listed.map(({ name, share }) => ({
    name,
    share,
    run: (inputs, seed, keeps) => fuzz(root, name, inputs, seed, keeps),
  }))
}

/** @param {string} text */
const lastLineOf = (text) => text.trimEnd().split('\n').at(-1) ?? ''

/**
 * @param {string} root
 * @param {string} name
 * @param {number} inputs
 * @param {number} seed
 * @param {boolean} keeps
 * @returns {Promise<import('../fuzz.mjs').Outcome>}
 */
async function fuzz(root, name, inputs, seed, keeps) {
  const folder = mkdtempSync(join(tmpdir(), 'adasum-fuzz-'))
  const current = join(folder, 'current')
  try {
    const options = [`--target=${name}`, `--inputs=${inputs}`, `--seed=${seed}`, `--current=${current}`]
    const { output, ending } = await watched(root, [WORKER, ...options, ...(keeps ? ['--keep'] : [])], current)
    return ending === undefined
      ? outcomeOf(lastLineOf(output))
      : lostOutcome(current, `${ending}: ${output.slice(-2000)}`)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** @param {string} line */
function outcomeOf(line) {
  const { inputs, accepted, refusedSeeds, faults, fresh, covered, computedSeconds } = JSON.parse(line)
  if (refusedSeeds > 0) faults.push({ fault: `${refusedSeeds} of its seeds were refused` })
  const share = Math.round((100 * accepted) / inputs)
  const ways = `${fresh} new ways, ${covered} characters of the sources run`
  return { inputs, faults, words: `${share} % accepted, ${ways}, ${computedSeconds.toFixed(1)} s of computing` }
}

/**
 * @param {string} current
 * @param {string} fault
 */
function lostOutcome(current, fault) {
  const bytes = readFileSync(current)
  const byteLength = bytes.length < HEAD_BYTE_LENGTH ? 0 : bytes.readUInt32LE(8)
  const input = bytes.subarray(HEAD_BYTE_LENGTH, HEAD_BYTE_LENGTH + byteLength).toString('base64')
  return { inputs: numberOf(current), faults: [{ input, fault }], words: 'and then lost' }
}

/** @param {string} current @returns {number} of the input that is being parsed */
function numberOf(current) {
  const head = Buffer.alloc(8)
  const file = openSync(current, 'a+')
  readSync(file, head, 0, head.length, 0)
  closeSync(file)
  return head.readDoubleLE()
}

/**
 * @param {string} root
 * @param {readonly string[]} args
 * @param {string} current
 * @returns {Promise<{ output: string, ending: string | undefined }>} `ending`: how it ended, unless well
 */
function watched(root, args, current) {
  const child = spawn(process.execPath, [...NODE_OPTIONS, ...args], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
  let [seen, seenAt, isStuck] = [-1, performance.now(), false]
  const look = setInterval(() => {
    const number = numberOf(current)
    if (number !== seen) [seen, seenAt] = [number, performance.now()]
    isStuck = performance.now() - seenAt > LIMIT_MS
    if (isStuck) child.kill('SIGKILL')
  }, LOOK_EVERY_MS)
  return new Promise((resolve, reject) => {
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8')
      stream.on('data', (/** @type {string} */ text) => (output += text))
    }
    child.on('error', reject)
    child.on('close', (exitCode, signal) => {
      clearInterval(look)
      const how =
        signal === null ? `it ended its process with exit code ${exitCode}` : `it ended its process by ${signal}`
      const ending = isStuck ? `it did not return within ${LIMIT_MS} ms` : exitCode === 0 ? undefined : how
      resolve({ output, ending })
    })
  })
}
