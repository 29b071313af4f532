// Starts the processes of one program, and reads the lines it prints.

import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * @typedef {object} Start
 * @property {string} command
 * @property {readonly string[]} args
 * @property {number} [processes] one for each rank, told which by its environment; by default one, which starts the ranks
 * @property {Record<string, string>} [env] on top of this process's own
 *
 * @typedef {object} Line what a program prints of a case
 * @property {string} op
 * @property {number} n
 * @property {number} bytes
 * @property {boolean} inPlace
 * @property {number} p50Us
 * @property {number} wrong
 * @property {string} [algorithm]
 */

const LIMIT_MS = 10 * 60_000

/** @type {Set<import('node:child_process').ChildProcess>} */
const running = new Set()
process.on('exit', endAll)
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) process.once(signal, () => process.exit(1))

function endAll() {
  // Not SIGKILL: mpirun takes its ranks with it only if it can.
  for (const child of running) child.kill('SIGTERM')
}

/**
 * @param {Start} start
 * @param {number} n
 * @returns {Promise<Line[]>}
 * @throws {Error} if a process fails, if there is a wrong element, or after ten minutes
 */
export async function runProgram({ command, args, processes = 1, env = {} }, n) {
  const store = mkdtempSync(join(tmpdir(), 'adasum-peers-'))
  const limit = setTimeout(endAll, LIMIT_MS)
  try {
    const ranks = Array.from({ length: processes }, (_, rank) => {
      const place = { PEER_RANK: String(rank), PEER_SIZE: String(n), PEER_STORE: store }
      return outputOf(command, args, { ...process.env, ...place, ...env })
    })
    return readLines((await Promise.all(ranks)).join(''))
  } finally {
    endAll()
    clearTimeout(limit)
    rmSync(store, { recursive: true, force: true })
  }
}

/**
 * @param {string} command
 * @param {readonly string[]} args
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<string>}
 */
function outputOf(command, args, env) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
    running.add(child)
    const said = { stdout: '', stderr: '' }
    for (const name of /** @type {const} */ (['stdout', 'stderr'])) {
      child[name].setEncoding('utf8')
      child[name].on('data', (/** @type {string} */ text) => void (said[name] += text))
    }
    child.on('error', (error) => {
      running.delete(child)
      reject(error)
    })
    child.on('close', (exitCode, signal) => {
      running.delete(child)
      if (exitCode === 0) return resolve(said.stdout)
      const end = signal === null ? `failed with exit code ${exitCode}` : `was ended by ${signal}`
      reject(new Error(`${command} ${args.join(' ')} ${end}\n${said.stdout}${said.stderr}`))
    })
  })
}

/**
 * @param {string} output
 * @returns {Line[]}
 */
export function readLines(output) {
  const lines = output
    .split('\n')
    .filter((text) => text.startsWith('{'))
    .map((text) => /** @type {Line} */ (JSON.parse(text)))
  if (lines.length === 0) throw new Error(`a program printed no case, but:\n${output}`)
  for (const line of lines) {
    if (line.wrong !== 0) throw new Error(`${line.wrong} wrong elements: ${JSON.stringify(line)}`)
    if (!(line.p50Us > 0)) throw new Error(`no time: ${JSON.stringify(line)}`)
  }
  return lines
}
