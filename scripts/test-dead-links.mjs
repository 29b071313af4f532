#!/usr/bin/env node
// Machines that vanish without a word: their packets are dropped from some moment on, and nobody is told. Everybody else must
// see it within failureTimeoutMs and a little. `npm run test:dead-links` runs it; the last line counts. Linux only, as root: each
// rank has a network namespace of its own, and all are joined by a bridge.

import { sleep } from '../test/dead-links/_ranks.mjs'
import { onStage } from '../test/dead-links/_stage.mjs'
import { summaryLine } from './lib/results.mjs'

/**
 * @typedef {import('../test/dead-links/rank.mjs').Plan} Plan
 * @typedef {import('../test/dead-links/_ranks.mjs').Rank} Rank
 * @typedef {import('../test/dead-links/_stage.mjs').Stage} Stage
 */

/** The default of failureTimeoutMs, and what ends a call after that; the rest is for a busy machine. */
const LIMIT_MS = 10_000
/** A rank that is asked for a sign of life has 2 s. */
const REPLACED_LIMIT_MS = 10_000

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
    const limitsMs = [LIMIT_MS, 25_000 + LIMIT_MS]
    const lost = limitsMs.map((limitMs, rank) => mustLose(/** @type {Rank} */ (ranks[rank]), since, limitMs))
    return (await Promise.all(lost)).join(', ')
  },
  'while it is sent 32 MiB, and sends nothing itself': async (stage) => {
    const { ranks, since } = await cutDuring(stage, { does: 'sends' })
    return (await Promise.all([0, 1].map((rank) => mustLose(/** @type {Rank} */ (ranks[rank]), since)))).join(', ')
  },
  'one way only: it hears all others, and none of them hears it': async ({ network, start }) => {
    const ranks = [0, 1, 2].map((rank) => start(rank, { rank, size: 3, does: 'waits' }))
    await Promise.all(ranks.map((rank) => rank.has('connected')))
    network.mute(2)
    const since = performance.now()
    for (const rank of ranks) rank.goOn()
    // The last one hears all that it waits for, and so has nothing to complain of.
    const times = await Promise.all([0, 1].map((rank) => mustLose(/** @type {Rank} */ (ranks[rank]), since)))
    return times.join(', ')
  },
  'while nobody calls anything': async ({ network, start }) => {
    const ranks = [0, 1, 2].map((rank) => start(rank, { rank, size: 3, does: 'waits' }))
    await Promise.all(ranks.map((rank) => rank.has('connected')))
    network.cut(2)
    await sleep(LIMIT_MS)
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

for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) process.once(signal, () => process.exit(1))
const chosen = Object.entries(CASES).filter(([name]) => name.includes(process.argv[2] ?? ''))
let failed = 0
for (const [name, test] of chosen) {
  try {
    console.log(`ok - a rank vanishes ${name} (${await onStage(4, test)})`)
  } catch (error) {
    failed += 1
    console.log(`not ok - a rank vanishes ${name}: ${/** @type {Error} */ (error).message}`)
  }
}
console.log(summaryLine({ passed: chosen.length - failed, failed, skipped: 0, notes: [] }))
if (failed > 0) process.exitCode = 1
