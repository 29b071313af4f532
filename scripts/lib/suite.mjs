// Runs a test runner as a child, shows what it says as it says it, and counts.

import { spawn } from 'node:child_process'
import { judge, summaryLine, withFailureNamed } from './results.mjs'

/**
 * @typedef {import('./results.mjs').Counts} Counts
 * @typedef {object} Suite
 * @property {string} name
 * @property {string} command
 * @property {readonly string[]} args
 * @property {(output: string) => Counts} read
 * @property {number} limitMinutes after which it is killed and has failed
 * @property {NodeJS.ProcessEnv} [env] on top of this process's own
 */

/**
 * @param {Suite} suite
 * @param {string} root
 * @returns {Promise<Counts>}
 */
export async function runSuite(suite, root) {
  console.log(`\n--- ${suite.name}`)
  const begin = performance.now()
  const { output, exitCode, signal } = await runShown(suite, root)
  const counts = withFailureNamed(suite.name, judge(suite.read(output), exitCode === 0))
  if (signal !== null) console.log(`${suite.name} was ended by ${signal}`)
  const seconds = Math.round((performance.now() - begin) / 1000)
  const ending = exitCode === 0 ? '' : `, exit code ${exitCode ?? 'none'}`
  console.log(`${suite.name}: ${summaryLine(counts)}${ending}, in ${seconds} s`)
  return counts
}

/**
 * @param {Suite} suite
 * @param {string} root
 * @returns {Promise<{ output: string, exitCode: number | null, signal: string | null }>}
 */
function runShown({ name, command, args, limitMinutes, env = {} }, root) {
  const colour = process.stdout.isTTY ? { FORCE_COLOR: '1', CARGO_TERM_COLOR: 'always' } : {}
  // A group of its own, so that at the limit the processes that tests have started go with it.
  const child = spawn(command, args, {
    cwd: root,
    env: { ...process.env, ...colour, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  const kill = (/** @type {NodeJS.Signals} */ signal) => child.pid !== undefined && killGroup(child.pid, signal)
  const limit = setTimeout(() => {
    console.log(`${name} has run for ${limitMinutes} minutes: killed`)
    kill('SIGKILL')
  }, limitMinutes * 60_000)
  const forward = (/** @type {NodeJS.Signals} */ signal) => {
    kill(signal)
    process.exit(1)
  }
  for (const signal of SIGNALS) process.on(signal, forward)

  return new Promise((resolve) => {
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8')
      stream.on('data', (/** @type {string} */ text) => {
        output += text
        process.stdout.write(text)
      })
    }
    const end = (/** @type {number | null} */ exitCode, /** @type {string | null} */ signal) => {
      clearTimeout(limit)
      for (const signal of SIGNALS) process.removeListener(signal, forward)
      resolve({ output, exitCode, signal })
    }
    child.on('error', (error) => {
      console.log(`${name} could not be started: ${error.message}`)
      end(null, null)
    })
    child.on('close', end)
  })
}

const SIGNALS = /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])

/**
 * @param {number} pid
 * @param {NodeJS.Signals} signal
 */
function killGroup(pid, signal) {
  try {
    process.kill(-pid, signal)
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'ESRCH') throw error
  }
}
