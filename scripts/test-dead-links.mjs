#!/usr/bin/env node
// Machines that vanish without a word: their packets are dropped from some moment on, and nobody is told. Everybody else must
// see it in about 20 s. `npm run test:dead-links` runs it; the last line counts. Linux only, as root: each rank has a network
// namespace of its own, and all are joined by a bridge.

import { execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { makeNetwork } from '../bench/slow-network/network.mjs'
import { summaryLine } from './lib/results.mjs'

/**
 * @typedef {import('../test/dead-links/rank.mjs').Plan} Plan
 * @typedef {import('../test/dead-links/rank.mjs').Line} Line
 * @typedef {import('../bench/slow-network/network.mjs').Network} Network
 */

const RANK = fileURLToPath(new URL('../test/dead-links/rank.mjs', import.meta.url))
const PORT = 29_500
/** Slow enough that 32 MiB are under way for seconds. */
const LINK = { mbits: 100, delayMs: 0, lossPercent: 0 }
/** Keepalive needs 20 s, and 1 s more to hear an explanation; the rest is for a busy machine. */
const LIMIT_MS = 35_000
/** A rank that is asked for a sign of life has 2 s. */
const REPLACED_LIMIT_MS = 10_000
const STEP_MS = 60_000

const sleep = (/** @type {number} */ ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** One rank on one host. */
class Rank {
  /** @type {Line[]} */
  lines = []
  #stderr = ''
  /** @type {(() => void)[]} */
  #listeners = []
  #child

  /**
   * @param {Network} network
   * @param {number} host
   * @param {Omit<Plan, 'place'> & { rank: number, size: number, timeoutMs?: number }} plan
   * @param {string} secret
   */
  constructor({ hosts }, host, { rank, size, timeoutMs = 120_000, ...does }, secret) {
    const { namespace, address } = /** @type {Network['hosts'][number]} */ (hosts[host])
    const store = `${hosts[0]?.address}:${PORT}`
    /** @type {Plan} */
    const plan = { place: { rank, size, store, host: address, timeoutMs }, ...does }
    const args = ['netns', 'exec', namespace, process.execPath, RANK, JSON.stringify(plan)]
    // Otherwise they would find out that they share a machine, and use its memory.
    const env = { ...process.env, ADASUM_SECRET: secret, ADASUM_MACHINE: namespace }
    this.#child = spawn('ip', args, { env, stdio: ['pipe', 'pipe', 'pipe'] })
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

  kill() {
    this.#child.kill('SIGKILL')
  }
}

/**
 * @typedef {object} Stage
 * @property {Network} network
 * @property {(host: number, plan: ConstructorParameters<typeof Rank>[2]) => Rank} start
 */

/** A rank must fail because of rank 2, in time. @param {Rank} rank @param {number} since @param {number} [limitMs] */
async function mustLose(rank, since, limitMs = LIMIT_MS) {
  const { code, peerRank, message } = await rank.has('failed', limitMs - (performance.now() - since))
  if (code !== 'ERR_PEER_LOST' || peerRank !== 2) throw new Error(`${code}, peer ${peerRank}: ${message}`)
  return `${((performance.now() - since) / 1000).toFixed(1)} s`
}

/** Three ranks that do the same; the link of the last one is cut once all have begun. @param {Stage} stage @param {Omit<Plan, 'place'>} plan */
async function cutDuring({ network, start }, plan) {
  const ranks = [0, 1, 2].map((rank) => start(rank, { rank, size: 3, ...plan, ...(rank === 1 ? {} : { busyMs: 0 }) }))
  await Promise.all(ranks.map((rank) => rank.has('begun')))
  await sleep(500)
  network.cut(2)
  return { ranks, since: performance.now() }
}

/** @type {Record<string, (stage: Stage) => Promise<string>>} */
const CASES = {
  'in the middle of an all-reduce of 32 MiB': async (stage) => {
    const { ranks, since } = await cutDuring(stage, { does: 'reduces' })
    const times = await Promise.all([0, 1].map((rank) => mustLose(/** @type {Rank} */ (ranks[rank]), since)))
    const { code } = await /** @type {Rank} */ (ranks[2]).has('failed')
    if (code !== 'ERR_PEER_LOST') throw new Error(`the lost rank itself: ${code}`)
    return times.join(', ')
  },
  'while a rank computes: it hears of it as soon as it listens again': async (stage) => {
    const { ranks, since } = await cutDuring(stage, { does: 'reduces', busyMs: 25_000 })
    return (await Promise.all([0, 1].map((rank) => mustLose(/** @type {Rank} */ (ranks[rank]), since)))).join(', ')
  },
  'while it is sent 32 MiB, and sends nothing itself': async (stage) => {
    const { ranks, since } = await cutDuring(stage, { does: 'sends' })
    return (await Promise.all([0, 1].map((rank) => mustLose(/** @type {Rank} */ (ranks[rank]), since)))).join(', ')
  },
  'while nobody calls anything': async ({ network, start }) => {
    const ranks = [0, 1, 2].map((rank) => start(rank, { rank, size: 3, does: 'waits' }))
    await Promise.all(ranks.map((rank) => rank.has('connected')))
    network.cut(2)
    await sleep(25_000)
    const since = performance.now()
    for (const rank of ranks) rank.goOn()
    return (await Promise.all([0, 1].map((rank) => mustLose(/** @type {Rank} */ (ranks[rank]), since, 5000)))).join(
      ', ',
    )
  },
  'after the rendezvous, before anybody has dialled it': async ({ network, start }) => {
    const ranks = [0, 1, 2].map((rank) => start(rank, { rank, size: 3, does: 'waits', barrier: false }))
    await Promise.all(ranks.map((rank) => rank.has('connected')))
    network.cut(2)
    const since = performance.now()
    for (const rank of ranks) rank.goOn()
    return (await Promise.all([0, 1].map((rank) => mustLose(/** @type {Rank} */ (ranks[rank]), since)))).join(', ')
  },
  'in the rendezvous: another process takes its place': async ({ network, start }) => {
    const plan = { size: 3, does: /** @type {const} */ ('reduces') }
    const first = start(0, { rank: 0, ...plan })
    await first.has('started')
    const lost = start(2, { rank: 2, ...plan })
    await lost.has('started')
    await sleep(3000)
    network.cut(2)
    lost.kill()
    const since = performance.now()
    const ranks = [first, start(3, { rank: 2, ...plan }), start(1, { rank: 1, ...plan })]
    await Promise.all(ranks.map((rank) => rank.has('connected', REPLACED_LIMIT_MS)))
    const took = `${((performance.now() - since) / 1000).toFixed(1)} s`
    await Promise.all(ranks.map((rank) => rank.has('done')))
    return took
  },
}

/** A machine that is gone does not answer; ARP would find that out, which beyond a router it cannot. @param {Network} network */
function fixNeighbours({ hosts }) {
  const ofHost = hosts.map(({ namespace, address }) => {
    const link = execFileSync('ip', ['-n', namespace, '-j', 'link', 'show', 'dev', 'eth0'], { encoding: 'utf8' })
    return { address, lladdr: JSON.parse(link)[0].address }
  })
  for (const { namespace } of hosts)
    for (const { address, lladdr } of ofHost)
      execFileSync('ip', [
        '-n',
        namespace,
        'neigh',
        'replace',
        address,
        'lladdr',
        lladdr,
        'dev',
        'eth0',
        'nud',
        'permanent',
      ])
}

/** @param {(stage: Stage) => Promise<string>} test */
async function onStage(test) {
  const network = makeNetwork(4, LINK)
  const secret = randomBytes(16).toString('hex')
  /** @type {Rank[]} */
  const ranks = []
  const clear = () => {
    for (const rank of ranks) rank.kill()
    network.remove()
  }
  process.once('exit', clear)
  try {
    fixNeighbours(network)
    return await test({
      network,
      start: (host, plan) => {
        const rank = new Rank(network, host, plan, secret)
        ranks.push(rank)
        return rank
      },
    })
  } finally {
    process.removeListener('exit', clear)
    clear()
  }
}

for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) process.once(signal, () => process.exit(1))
const chosen = Object.entries(CASES).filter(([name]) => name.includes(process.argv[2] ?? ''))
let failed = 0
for (const [name, test] of chosen) {
  try {
    console.log(`ok - a rank vanishes ${name} (${await onStage(test)})`)
  } catch (error) {
    failed += 1
    console.log(`not ok - a rank vanishes ${name}: ${/** @type {Error} */ (error).message}`)
  }
}
console.log(summaryLine({ passed: chosen.length - failed, failed, skipped: 0, notes: [] }))
if (failed > 0) process.exitCode = 1
