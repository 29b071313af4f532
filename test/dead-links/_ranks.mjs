// Ranks of scripts/test-dead-links.mjs, test-liveness.mjs and check-detection.mjs: processes that tell in lines of JSON what happens to
// them.

import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { freePort } from '../_free-port.mjs'

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
  has(event, limitMs = STEP_MS) {
    return this.#hasOne([event], limitMs)
  }

  /** However it ends. @param {number} limitMs */
  ends(limitMs) {
    return this.#hasOne(['done', 'failed'], limitMs)
  }

  /** @param {readonly Line['event'][]} events @param {number} limitMs */
  async #hasOne(events, limitMs) {
    const end = performance.now() + limitMs
    for (;;) {
      const found = this.lines.find(({ event }) => events.includes(event))
      if (found) return found
      const leftMs = end - performance.now()
      const known = this.lines.map((line) => JSON.stringify(line)).join(' ')
      if (leftMs <= 0)
        throw new Error(`no "${events.join('", "')}" within ${limitMs} ms; ${known} ${this.#stderr.slice(-500)}`)
      await this.#news(leftMs)
    }
  }

  /** Waits for another line, or so long. @param {number} ms @returns {Promise<void>} */
  #news(ms) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.#listeners.push(() => {
        clearTimeout(timer)
        resolve()
      })
    })
  }

  goOn() {
    this.#child.stdin.write('\n')
  }

  /** @param {NodeJS.Signals} signal */
  kill(signal = 'SIGKILL') {
    this.#child.kill(signal)
  }
}

/**
 * All ranks of a world on this machine, without networks of their own.
 *
 * @param {number} size
 * @param {import('adasum').ConnectOptions} options
 * @param {Omit<Plan, 'place'>} does
 * @param {NodeJS.ProcessEnv} [env]
 */
export async function startRanks(size, options, does, env) {
  const store = `127.0.0.1:${await freePort()}`
  const secret = randomBytes(16).toString('hex')
  return Array.from({ length: size }, (_, rank) => {
    const plan = { place: { rank, size, store, ...options }, ...does }
    return new Rank(plan, { ADASUM_SECRET: secret, ...env }, undefined)
  })
}
