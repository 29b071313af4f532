// Kills ranks at random points, again and again, and looks for what they may have left. Both `npm test` (a few rounds) and
// `npm run test:kills` (two hundred) run it. Linux only.

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, readdirSync, readlinkSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { freePort } from '../_free-port.mjs'

const RANK = fileURLToPath(new URL('_kill-rank.mjs', import.meta.url))
/** By which the processes of this run are found. */
const MARK = `ADASUM_KILLS=${process.pid}-${Date.now()}`
/** For survivors to find out and to end, on a loaded machine, too. */
const PATIENCE_MS = 60_000
/** From the start of the processes to the kill: while they meet, connect, map, read, write. */
const LATEST_MS = 1500

/** @param {number} seed @returns {() => number} uniform in [0, 1) */
function randomFrom(seed) {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** @param {string} path @returns {string[]} */
function namesIn(path) {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}

/** @param {string} path */
function textOf(path) {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}

const processIds = () => namesIn('/proc').filter((name) => /^\d+$/.test(name))

/** Those that have ended but that nobody has asked for are none. @param {string} pid */
const isAlive = (pid) => !/\) Z/.test(textOf(`/proc/${pid}/stat`))

/** Sockets that some process holds, by number. */
function heldSockets() {
  const held = new Set()
  for (const pid of processIds())
    for (const fd of namesIn(`/proc/${pid}/fd`)) {
      try {
        const [, inode] = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`)) ?? []
        if (inode !== undefined) held.add(inode)
      } catch {
        // It has closed it.
      }
    }
  return held
}

function leftovers() {
  const processes = processIds().filter((pid) => isAlive(pid) && textOf(`/proc/${pid}/environ`).includes(MARK))
  const segments = namesIn('/dev/shm').filter((name) => name.includes('adasum'))
  const files = namesIn(tmpdir()).filter((name) => {
    try {
      return name.includes('adasum') && statSync(join(tmpdir(), name)).isSocket()
    } catch {
      return false
    }
  })
  const named = [...textOf('/proc/net/unix').matchAll(/ (\d+) (@adasum-\S+)/g)]
  const held = named.length > 0 ? heldSockets() : new Set()
  const sockets = named.filter(([, inode]) => !held.has(inode)).map(([, , name]) => name)
  return [
    ...processes.map((pid) => `process ${pid}`),
    ...segments.map((name) => `/dev/shm/${name}`),
    ...[...files, ...sockets].map((name) => `socket ${name}`),
  ]
}

/** How long something may look left over that somebody else is just opening or closing. */
const MOMENT_MS = 1000

/** What is left of the killed and the others, and stays so: processes, files in memory, sockets with a name. */
export async function lastingLeftovers() {
  const found = leftovers()
  if (found.length === 0) return []
  await sleep(MOMENT_MS)
  const still = new Set(leftovers())
  return found.filter((what) => still.has(what))
}

/**
 * One world, some of whose ranks are killed; what is wrong with the others.
 *
 * @param {() => number} random
 * @returns {Promise<string[]>}
 */
async function killSome(random) {
  const size = 2 + Math.floor(random() * 3)
  const store = `127.0.0.1:${await freePort()}`
  const seed = Math.floor(random() * 2 ** 31)
  const ranks = Array.from({ length: size }, (_, rank) => {
    const place = { ADASUM_RANK: `${rank}`, ADASUM_SIZE: `${size}`, ADASUM_STORE: store, ADASUM_SECRET: 'kills' }
    const [name = '', value] = MARK.split('=')
    const env = { ...process.env, ...place, [name]: value, NODE_OPTIONS: '' }
    return fork(RANK, [`${seed}`], { env, execArgv: [], stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
  })
  const said = ranks.map((child) => {
    let text = ''
    child.stderr?.setEncoding('utf8').on('data', (/** @type {string} */ more) => void (text += more))
    return () => text
  })
  const ended = ranks.map((child) => once(child, 'exit'))
  await sleep(random() * LATEST_MS)
  const victims = new Set([Math.floor(random() * size), ...(random() < 0.3 ? [Math.floor(random() * size)] : [])])
  for (const rank of victims) ranks[rank]?.kill('SIGKILL')
  const problems = await Promise.all(
    ended.map(async (end, rank) => {
      const exit = await Promise.race([end, sleep(PATIENCE_MS, undefined, { ref: false })])
      if (exit === undefined) {
        ranks[rank]?.kill('SIGKILL')
        return `rank ${rank} of ${size} did not end: ${said[rank]?.()}`
      }
      const [exitCode, signal] = exit
      const isGood = victims.has(rank) ? signal === 'SIGKILL' || exitCode === 0 : exitCode === 0
      return isGood ? '' : `rank ${rank} of ${size} ended with ${signal ?? exitCode}: ${said[rank]?.()}`
    }),
  )
  return problems.filter((problem) => problem !== '')
}

/**
 * @param {{ rounds: number, say: (text: string) => void }} options
 * @returns {Promise<{ problems: string[], seed: number }>}
 */
export async function runKills({ rounds, say }) {
  const seed = Number(process.env['ADASUM_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
  say(`seed ${seed}`)
  const random = randomFrom(seed)
  const problems = []
  for (let round = 0; round < rounds; round++) {
    const found = [...(await killSome(random)), ...(await lastingLeftovers())]
    problems.push(...found.map((problem) => `round ${round}: ${problem}`))
    if ((round + 1) % 50 === 0) say(`${round + 1} of ${rounds}`)
  }
  return { problems, seed }
}
