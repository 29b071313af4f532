#!/usr/bin/env node
// Ranks that look dead for minutes and are not: none of them may be lost. Real processes, with the default of failureTimeoutMs.
// `npm run test:liveness` runs it, and it takes eight minutes; with the beginning of a case's name only that one. The last line
// counts. Linux: clocks are set by Debian's faketime, for the ranks alone.

import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sleep, startRanks } from '../test/dead-links/_ranks.mjs'
import { installPackages, works } from './lib/debian.mjs'
import { summaryLine } from './lib/results.mjs'

/**
 * @typedef {import('../test/dead-links/_ranks.mjs').Rank} Rank
 */

const BUSY_MS = 120_000
const LOADED_MS = 300_000
const JUMPING_MS = 30_000
/** Beside the ranks, which have something to do themselves. */
const LOAD = 20
/** What ranks may need beyond their time: to start, and to end, with so little of a processor. */
const SLACK_MS = 120_000

const CLOCK_LIBRARY = '/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1'
/** Years, hours and a moment, to and fro; the ranks tell at their end that it is three years later. */
const JUMPS = ['+1h', '-1h', '-3y', '+0', '+4s', '+3y']
const TWO_YEARS_MS = 2 * 365 * 24 * 3600 * 1000

/** @param {readonly Rank[]} ranks @param {number} withinMs */
async function mustBeDone(ranks, withinMs) {
  const results = ranks.map(async (rank, number) => {
    const { event, code, message } = await rank.ends(withinMs)
    if (event === 'failed') throw new Error(`rank ${number}: ${code}, ${message}`)
  })
  await Promise.all(results)
}

/**
 * @template T
 * @param {readonly Rank[]} ranks
 * @param {() => Promise<T>} use
 */
async function withRanks(ranks, use) {
  try {
    return await use()
  } finally {
    for (const rank of ranks) rank.kill()
  }
}

/** @type {Record<string, () => Promise<unknown>>} */
const CASES = {
  'ranks that compute for two minutes without a turn of their event loops': async () => {
    const begin = performance.now()
    const ranks = await startRanks(4, {}, { does: 'works', busyMs: BUSY_MS })
    await withRanks(ranks, () => mustBeDone(ranks, BUSY_MS + SLACK_MS))
    if (performance.now() - begin < BUSY_MS) throw new Error('no rank has computed for so long')
  },
  'a machine with a load of 20, for five minutes': async () => {
    const idle = 'for (;;);'
    const others = Array.from({ length: LOAD }, () => spawn(process.execPath, ['--eval', idle], { stdio: 'ignore' }))
    const ranks = await startRanks(4, {}, { does: 'works', forMs: LOADED_MS })
    try {
      await withRanks(ranks, () => mustBeDone(ranks, LOADED_MS + 2 * SLACK_MS))
    } finally {
      for (const other of others) other.kill('SIGKILL')
    }
  },
  'clocks that are set forward and back by hours and years': async () => {
    installPackages(['faketime'], () => works('faketime', ['--version']))
    const folder = mkdtempSync(join(tmpdir(), 'adasum-clock-'))
    const clock = join(folder, 'clock')
    writeFileSync(clock, '+0')
    const env = {
      LD_PRELOAD: CLOCK_LIBRARY,
      FAKETIME_TIMESTAMP_FILE: clock,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    }
    try {
      const ranks = await startRanks(3, {}, { does: 'works', forMs: JUMPING_MS }, env)
      await withRanks(ranks, async () => {
        const done = mustBeDone(ranks, JUMPING_MS + SLACK_MS)
        await Promise.race([done, jump(ranks, clock)])
        await done
        const { at } = await /** @type {Rank} */ (ranks[0]).has('done')
        if (at < Date.now() + TWO_YEARS_MS) throw new Error(`the clock of rank 0 was never set: ${new Date(at)}`)
      })
    } finally {
      rmSync(folder, { recursive: true })
    }
  },
}

/** @param {readonly Rank[]} ranks @param {string} clock */
async function jump(ranks, clock) {
  await Promise.all(ranks.map((rank) => rank.has('begun')))
  for (const offset of JUMPS) {
    await sleep(JUMPING_MS / (JUMPS.length + 2))
    writeFileSync(clock, offset)
  }
}

for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) process.once(signal, () => process.exit(1))
const chosen = Object.entries(CASES).filter(([name]) => name.startsWith(process.argv[2] ?? ''))
let failed = 0
for (const [name, test] of chosen) {
  try {
    await test()
    console.log(`ok - ${name}`)
  } catch (error) {
    failed += 1
    console.log(`not ok - ${name}: ${/** @type {Error} */ (error).message}`)
  }
}
console.log(summaryLine({ passed: chosen.length - failed, failed, skipped: 0, notes: [] }))
if (failed > 0) process.exitCode = 1
