// Ranks that are processes on hosts of their own: network namespaces, joined by a bridge. Linux, as root.

import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { makeNetwork } from '../../bench/slow-network/network.mjs'
import { Rank } from './_ranks.mjs'

/**
 * @typedef {import('./rank.mjs').Plan} Plan
 * @typedef {import('../../bench/slow-network/network.mjs').Network} Network
 *
 * @typedef {Omit<Plan, 'place'> & { rank: number, size: number, timeoutMs?: number }} RankPlan
 *
 * @typedef {object} Stage
 * @property {Network} network
 * @property {(host: number, plan: RankPlan) => Rank} start
 */

const PORT = 29_500
/** Slow enough that 32 MiB are under way for seconds. */
const LINK = { mbits: 100, delayMs: 0, lossPercent: 0 }

/** A machine that is gone does not answer; ARP would find that out, which beyond a router it cannot. @param {Network} network */
function fixNeighbours({ hosts }) {
  const ofHost = hosts.map(({ namespace, address }) => {
    const link = execFileSync('ip', ['-n', namespace, '-j', 'link', 'show', 'dev', 'eth0'], { encoding: 'utf8' })
    return { address, lladdr: JSON.parse(link)[0].address }
  })
  for (const { namespace } of hosts)
    for (const { address, lladdr } of ofHost) {
      const entry = ['neigh', 'replace', address, 'lladdr', lladdr, 'dev', 'eth0', 'nud', 'permanent']
      execFileSync('ip', ['-n', namespace, ...entry])
    }
}

/**
 * Runs something on a stage of so many hosts, of which nothing is left afterwards.
 *
 * @template T
 * @param {number} hostCount
 * @param {(stage: Stage) => Promise<T>} run
 */
export async function onStage(hostCount, run) {
  const network = makeNetwork(hostCount, LINK)
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
    return await run({ network, start: (host, plan) => start(network, host, plan, secret, ranks) })
  } finally {
    process.removeListener('exit', clear)
    clear()
  }
}

/**
 * @param {Network} network
 * @param {number} host
 * @param {RankPlan} plan
 * @param {string} secret
 * @param {Rank[]} ranks
 */
function start({ hosts }, host, { rank, size, timeoutMs = 120_000, ...does }, secret, ranks) {
  const { namespace, address } = /** @type {Network['hosts'][number]} */ (hosts[host])
  const store = `${hosts[0]?.address}:${PORT}`
  // Otherwise they would find out that they share a machine, and use its memory.
  const env = { ADASUM_SECRET: secret, ADASUM_MACHINE: namespace }
  const started = new Rank({ place: { rank, size, store, host: address, timeoutMs }, ...does }, env, namespace)
  ranks.push(started)
  return started
}
