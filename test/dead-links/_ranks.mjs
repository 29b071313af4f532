// Ranks of scripts/test-dead-links.mjs and scripts/check-detection.mjs: processes that tell in lines of JSON what happens to them.

import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/**
 * @typedef {import('./rank.mjs').Plan} Plan
 * @typedef {import('./rank.mjs').Line} Line
 */

const RANK = fileURLToPath(new URL('rank.mjs', import.meta.url))
const STEP_MS = 60_000

export const sleep = (/** @type {number} */ ms) => new Promise((resolve) => setTimeout(resolve, ms))

export class Rank {
  /** @type {Line[]} */
  lines = []
  #stderr = ''
  /** @type {(() => void)[]} */
  #listeners = []
  #child

  /**
   * @param {Plan} plan
   * @param {NodeJS.ProcessEnv} env added to this process's own
   * @param {string | undefined} namespace of the network, if it has one of its own
   */
  constructor(plan, env, namespace) {
    const node = [process.execPath, RANK, JSON.stringify(plan)]
    const [command = '', ...args] = namespace === undefined ? node : ['ip', 'netns', 'exec', namespace, ...node]
    this.#child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'pipe'] })
    // Its end of the pipe goes with it.
    this.#child.stdin.on('error', () => undefined)
    this.#child.stderr.on('data', (/** @type {Buffer} */ data) => (this.#stderr += data.toString()))
    createInterface(this.#child.stdout).on('line', (line) => {
      this.lines.push(JSON.parse(line))
      for (const listener of this.#listeners.splice(0)) listener()
    })
  }

  /** @param {Line['event']} event @param {number} [limitMs] */
  async has(event, limitMs = STEP_MS) {
    const end = performance.now() + limitMs
    for (;;) {
      const found = this.lines.find((line) => line.event === event)
      if (found) return found
      const leftMs = end - performance.now()
      const known = this.lines.map((line) => JSON.stringify(line)).join(' ')
      if (leftMs <= 0) throw new Error(`no "${event}" within ${limitMs} ms; ${known} ${this.#stderr.slice(-500)}`)
      await Promise.race([new Promise((resolve) => this.#listeners.push(() => resolve(undefined))), sleep(leftMs)])
    }
  }

  goOn() {
    this.#child.stdin.write('\n')
  }

  /** @param {NodeJS.Signals} signal */
  kill(signal = 'SIGKILL') {
    this.#child.kill(signal)
  }
}
