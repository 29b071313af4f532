// Runs the tools that scripts need. Whatever a tool says goes to stderr at once: stdout belongs to the program for
// which the set-up is made, and words held back until the end are lost when something kills it.

import { spawn } from 'node:child_process'

export class ToolError extends Error {
  /**
   * @param {string} message
   * @param {{ exitCode?: number | null, missing?: boolean, output?: string }} [details]
   */
  constructor(message, { exitCode = null, missing = false, output = '' } = {}) {
    super(message)
    this.exitCode = exitCode
    this.missing = missing
    this.output = output
  }
}

/** @type {Set<import('node:child_process').ChildProcess>} */
const running = new Set()

/**
 * @param {string} name as the user knows it
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ cwd: string, env?: NodeJS.ProcessEnv, quiet?: boolean, limitMs?: number }} options `quiet`: shown only if the
 *   tool fails; `limitMs`: after so long it is killed, and has failed
 * @returns {Promise<string>} what it printed
 * @throws {ToolError} if it cannot be started or fails; its words have been shown by then
 */
export function runTool(name, command, args, { cwd, env = process.env, quiet = false, limitMs }) {
  return new Promise((resolve, reject) => {
    const limit = limitMs === undefined ? {} : { timeout: limitMs }
    const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], ...limit })
    running.add(child)
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8')
      stream.on('data', (/** @type {string} */ text) => {
        output += text
        if (!quiet) process.stderr.write(text)
      })
    }
    child.on('error', (/** @type {NodeJS.ErrnoException} */ error) => {
      running.delete(child)
      reject(new ToolError(`${name} could not be started: ${error.message}`, { missing: error.code === 'ENOENT' }))
    })
    child.on('close', (exitCode, signal) => {
      running.delete(child)
      if (exitCode === 0) return resolve(output)
      if (quiet) process.stderr.write(output)
      const end = signal === null ? `failed with exit code ${exitCode}` : `was ended by ${signal}`
      reject(new ToolError(`${name} ${end}`, { exitCode, output }))
    })
  })
}

/** Ends the tools that run, and then this process, when it is told to end. */
export function endToolsOnSignals() {
  for (const [signal, number] of /** @type {const} */ ([
    ['SIGINT', 2],
    ['SIGTERM', 15],
    ['SIGHUP', 1],
  ])) {
    process.once(signal, () => {
      for (const child of running) child.kill(signal)
      process.exit(128 + number)
    })
  }
}
