#!/usr/bin/env node
// How soon ranks find out that another one is gone, fault by fault: real processes, of which one is stopped, killed or cut off
// while the others wait for it.
//
//     npm run --silent check:detection -- --json [--faults 50] [--only stopped,cut] [--failure-timeout-ms 3000]
//
// A line a kind of fault: from the fault until the call of the last rank that lives has ended, median and longest; how many
// ranks named the right one, and how many did not. Exits with 1 if any did not, or if one took longer than it may.

import { parseArgs } from 'node:util'
import { sleep, startRanks } from '../test/dead-links/_ranks.mjs'
import { onStage } from '../test/dead-links/_stage.mjs'
import { wholeNumber } from './lib/options.mjs'

/**
 * @typedef {object} World
 * @property {import('../test/dead-links/_ranks.mjs').Rank[]} ranks
 * @property {(rank: number) => void} cut
 * @property {(rank: number) => void} mute
 *
 * @typedef {object} Kind
 * @property {number} ranks how many there are
 * @property {readonly number[]} lost
 * @property {(world: World) => void} strike
 * @property {boolean} [hasNetwork] whether each rank has a network namespace of its own
 * @property {boolean} [sharedMemory]
 * @property {boolean} [barrier] whether the ranks have been in touch before the fault
 */

/** What a call may need beyond the limit, to end on a rank that waits. */
const BEYOND_MS = 500

/** @param {NodeJS.Signals} signal @returns {Kind['strike']} */
const signalled = (signal) => (world) => world.ranks[1]?.kill(signal)

/** @type {Record<string, Kind>} */
const KINDS = {
  stopped: { ranks: 3, lost: [1], strike: signalled('SIGSTOP'), sharedMemory: false },
  'stopped-shared-memory': { ranks: 3, lost: [1], strike: signalled('SIGSTOP') },
  'stopped-at-first-contact': { ranks: 3, lost: [1], strike: signalled('SIGSTOP'), barrier: false },
  'half-stopped': {
    ranks: 4,
    lost: [1, 3],
    strike: ({ ranks }) => [1, 3].forEach((rank) => ranks[rank]?.kill('SIGSTOP')),
  },
  killed: { ranks: 3, lost: [1], strike: signalled('SIGKILL') },
  cut: { ranks: 3, lost: [1], strike: ({ cut }) => cut(1), hasNetwork: true },
  'cut-one-way': { ranks: 3, lost: [1], strike: ({ mute }) => mute(1), hasNetwork: true },
}

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    faults: { type: 'string', default: '50' },
    only: { type: 'string' },
    'failure-timeout-ms': { type: 'string', default: '3000' },
  },
})
const faults = wholeNumber('--faults', values.faults)
const failureTimeoutMs = wholeNumber('--failure-timeout-ms', values['failure-timeout-ms'])
const names = values.only?.split(',') ?? Object.keys(KINDS)
const unknown = names.find((name) => !(name in KINDS))
if (unknown !== undefined) throw new Error(`there is no fault ${unknown}; there are ${Object.keys(KINDS).join(', ')}`)

/**
 * @template T
 * @param {Kind} kind
 * @param {(world: World) => Promise<T>} run
 */
async function inWorld({ ranks: size, hasNetwork = false, sharedMemory = true, barrier = true }, run) {
  const does = { does: /** @type {const} */ ('waits'), barrier, failureTimeoutMs }
  const numbers = Array.from({ length: size }, (_, rank) => rank)
  if (hasNetwork)
    return onStage(size, ({ network, start }) => {
      const ranks = numbers.map((rank) => start(rank, { rank, size, ...does }))
      return run({ ranks, cut: network.cut, mute: network.mute })
    })
  const ranks = await startRanks(size, { sharedMemory }, does)
  const nowhere = () => {
    throw new Error('these ranks have no network of their own')
  }
  try {
    return await run({ ranks, cut: nowhere, mute: nowhere })
  } finally {
    for (const rank of ranks) rank.kill()
  }
}

/**
 * One fault: how long the last of the ranks that live needed, and whom they named.
 *
 * @param {Kind} kind
 */
const oneFault = (kind) =>
  inWorld(kind, async (world) => {
    await Promise.all(world.ranks.map((rank) => rank.has('connected')))
    const living = world.ranks.filter((_, rank) => !kind.lost.includes(rank))
    for (const rank of living) rank.goOn()
    await Promise.all(living.map((rank) => rank.has('begun')))
    // Without a pause the fault may come before the heartbeats have begun.
    if (kind.barrier !== false) await sleep((1 + Math.random()) * BEYOND_MS)
    const struckAt = Date.now()
    kind.strike(world)
    const ends = await Promise.all(living.map((rank) => rank.has('failed', 10 * failureTimeoutMs + 60_000)))
    const isNamed = ends.map(({ code, peerRank = -1 }) => code === 'ERR_PEER_LOST' && kind.lost.includes(peerRank))
    const named = isNamed.filter(Boolean).length
    return { ms: Math.max(...ends.map(({ at }) => at)) - struckAt, named, wrongly: ends.length - named }
  })

/** @param {string} name */
async function check(name) {
  const kind = /** @type {Kind} */ (KINDS[name])
  /** @type {Awaited<ReturnType<typeof oneFault>>[]} */
  const found = []
  for (let fault = 0; fault < faults; fault++) found.push(await oneFault(kind))
  const ms = found.map((one) => one.ms).toSorted((a, b) => a - b)
  const sum = (/** @type {'named' | 'wrongly'} */ key) => found.reduce((total, one) => total + one[key], 0)
  const detectMs = { p50: ms[ms.length >> 1] ?? NaN, max: ms.at(-1) ?? NaN }
  return {
    fault: name,
    ranks: kind.ranks,
    detectMs,
    named: sum('named'),
    wrongly: sum('wrongly'),
    faults,
    failureTimeoutMs,
  }
}

for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) process.once(signal, () => process.exit(1))
for (const name of names) {
  const line = await check(name)
  const { detectMs, named, wrongly } = line
  if (values.json) console.log(JSON.stringify(line))
  else
    console.log(`${name.padEnd(26)} p50 ${detectMs.p50} ms, max ${detectMs.max} ms, named ${named}, wrongly ${wrongly}`)
  if (wrongly > 0 || detectMs.max > failureTimeoutMs + BEYOND_MS) process.exitCode = 1
}
