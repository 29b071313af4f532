#!/usr/bin/env node
// Times all-reduce between machines that a long network joins, over one connection and over several for each direction:
// docs/performance/long-network.md says how, and what came out. Linux only, as root: each rank has a network namespace of its
// own, and bench/lib/long-link.c carries the packets, with the rate, the delay and the loss that are asked for, each way.
//
//   npm run --silent bench:long-network -- [--json] [--ranks 2] [--mbits 1000] [--delay-ms 40] [--loss-percent 0.1]
//     [--bytes 33554432] [--op sum,adasum] [--connections 1,2,4,8] [--rounds 5] [--congestion-control cubic]
//
// The ways take turns, call by call, in another order each round; a time is that of the slowest rank. With --json a line a way,
// otherwise a Markdown table. Exit code 1 if a result is wrong.

import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { makeLongNetwork } from './lib/long-network.mjs'
import { runRanks } from './lib/ranks.mjs'

const RANK = fileURLToPath(new URL('long-network/rank.mjs', import.meta.url))

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    ranks: { type: 'string', default: '2' },
    mbits: { type: 'string', default: '1000' },
    'delay-ms': { type: 'string', default: '40' },
    'loss-percent': { type: 'string', default: '0.1' },
    bytes: { type: 'string', default: String(32 << 20) },
    op: { type: 'string', default: 'sum,adasum' },
    connections: { type: 'string', default: '1,2,4,8' },
    rounds: { type: 'string', default: '5' },
    'congestion-control': { type: 'string', default: 'cubic' },
  },
})

/** @param {keyof typeof options} name @param {number} least @param {string} [text] */
function numberOf(name, least, text = String(options[name])) {
  const number = Number(text)
  if (text.trim() !== '' && number >= least) return number
  throw new Error(`--${name} ${text} must be a number of at least ${least}`)
}

/** @param {readonly number[]} values */
function medianOf(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? (sorted[middle] ?? NaN) : ((sorted[middle - 1] ?? NaN) + (sorted[middle] ?? NaN)) / 2
}

/** @param {number} value */
const significant = (value) => Number(value.toPrecision(3))

async function main() {
  const link = {
    mbits: numberOf('mbits', 0.1),
    delayMs: numberOf('delay-ms', 0),
    lossPercent: numberOf('loss-percent', 0),
    congestionControl: options['congestion-control'],
  }
  /** @type {import('./long-network/rank.mjs').Settings} */
  const settings = {
    byteLength: numberOf('bytes', 8),
    ops: options.op.split(','),
    connections: options.connections.split(',').map((text) => numberOf('connections', 1, text)),
    rounds: numberOf('rounds', 1),
  }
  const network = await makeLongNetwork(numberOf('ranks', 2), link)
  const output = await runRanks(network, RANK, settings)
  /** @type {import('./long-network/rank.mjs').Measured[]} */
  const measured = JSON.parse(output)
  const rows = measured.map(({ op, connections, timesMs, wrong }) => {
    const one = measured.find((other) => other.op === op && other.connections === 1)
    return {
      ...{ op, n: network.hosts.length, bytes: settings.byteLength, ...link, connections, rounds: timesMs.length },
      p50Ms: significant(medianOf(timesMs)),
      minMs: significant(Math.min(...timesMs)),
      maxMs: significant(Math.max(...timesMs)),
      faster: significant(one ? medianOf(one.timesMs) / medianOf(timesMs) : NaN),
      wrong,
    }
  })
  if (options.json) console.log(rows.map((row) => JSON.stringify(row)).join('\n'))
  else {
    console.log('| operator | connections | p50 ms | min | max | faster | wrong |')
    console.log('| -------- | ----------: | -----: | --: | --: | -----: | ----: |')
    for (const { op, connections, p50Ms, minMs, maxMs, faster, wrong } of rows)
      console.log(`| ${[op, connections, p50Ms, minMs, maxMs, faster, wrong].join(' | ')} |`)
  }
  process.exit(rows.some(({ wrong }) => wrong > 0) ? 1 : 0)
}

await main()
