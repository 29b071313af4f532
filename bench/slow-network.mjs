#!/usr/bin/env node
// Times all-reduce between machines that a slow network joins, plain and compressed: docs/performance/slow-network.md says
// how and what came out. Linux only, as root: each rank has a network namespace of its own, and all are joined by a bridge
// whose links have the rate, the delay and the loss that are asked for, each way.
//
//   npm run --silent bench:slow-network -- [--json] [--ranks 2] [--mbits 100] [--delay-ms 0] [--loss-percent 0]
//     [--bytes 33554432] [--segments 32] [--op sum] [--rounds 5] [--compress none,f16,bf16,int8] [--bucket-bytes 0]
//
// --bucket-bytes takes a list; 0 is one bucket. The ways take turns, call by call, in another order each round; a time is
// that of the slowest rank. With --json a line a way, otherwise a Markdown table. Exit code 1 if a result is wrong.

import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { runRanks } from './lib/ranks.mjs'
import { makeNetwork } from './slow-network/network.mjs'
import { rowsOf, table } from './slow-network/report.mjs'

const RANK = fileURLToPath(new URL('slow-network/rank.mjs', import.meta.url))

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    ranks: { type: 'string', default: '2' },
    mbits: { type: 'string', default: '100' },
    'delay-ms': { type: 'string', default: '0' },
    'loss-percent': { type: 'string', default: '0' },
    bytes: { type: 'string', default: String(32 << 20) },
    segments: { type: 'string', default: '32' },
    op: { type: 'string', default: 'sum' },
    rounds: { type: 'string', default: '5' },
    compress: { type: 'string', default: 'none,f16,bf16,int8' },
    'bucket-bytes': { type: 'string', default: '0' },
  },
})

/** @param {string} name @param {string} text @param {number} least */
function numberOf(name, text, least) {
  const number = Number(text)
  if (text.trim() !== '' && number >= least) return number
  throw new Error(`--${name} ${text} must be a number of at least ${least}`)
}

/**
 * What every rank is told.
 *
 * @typedef {object} Settings
 * @property {number} byteLength
 * @property {number} segmentCount
 * @property {string} op
 * @property {number} rounds
 * @property {import('./slow-network/rank.mjs').Way[]} ways
 */

/** @returns {Settings} */
function settingsOf() {
  const buckets = options['bucket-bytes'].split(',').map((text) => numberOf('bucket-bytes', text, 0))
  const formats = options.compress.split(',')
  return {
    byteLength: numberOf('bytes', options.bytes, 8),
    segmentCount: numberOf('segments', options.segments, 1),
    op: options.op,
    rounds: numberOf('rounds', options.rounds, 1),
    ways: buckets.flatMap((bucketBytes) => formats.map((compress) => ({ compress, bucketBytes }))),
  }
}

async function main() {
  const size = numberOf('ranks', options.ranks, 2)
  const link = {
    mbits: numberOf('mbits', options.mbits, 0.1),
    delayMs: numberOf('delay-ms', options['delay-ms'], 0),
    lossPercent: numberOf('loss-percent', options['loss-percent'], 0),
  }
  const settings = settingsOf()
  const network = makeNetwork(size, link)
  /** @type {import('./slow-network/rank.mjs').Measured[]} */
  const measured = JSON.parse(await runRanks(network, RANK, settings))
  const rows = rowsOf(measured, { n: size, ...link, ...settings })
  console.log(options.json ? rows.map((row) => JSON.stringify(row)).join('\n') : table(rows))
  if (rows.some(({ wrong }) => wrong > 0)) process.exitCode = 1
}

await main()
