#!/usr/bin/env node
// Times other all-reduces and ours in turns, over loopback: docs/performance/peers.md says how and what came out.
//
//   npm run --silent bench:peers -- [--json] [--quick] [--rounds 5] [--only gloo,openmpi] [--require] [--install]
//
// Exit code 1 if a result is wrong or a program fails; with --require (or ADASUM_REQUIRE_PEERS=1) also if a peer is
// absent. --install installs what is missing, and measures nothing.

import { parseArgs } from 'node:util'
import { PEERS, casesOf, install, ours } from './programs.mjs'
import { summary, table } from './report.mjs'
import { ownRows, peerRows } from './rows.mjs'
import { runProgram } from './run.mjs'

const SIZES = [1 << 10, 512 << 10, 32 << 20]
const PEER_RANKS = [2, 4]
const OWN_RANKS = [2, 4, 8]

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    require: { type: 'boolean', default: process.env['ADASUM_REQUIRE_PEERS'] === '1' },
    install: { type: 'boolean', default: false },
    only: { type: 'string' },
  },
})
const say = (/** @type {string} */ text) => void process.stderr.write(`bench:peers: ${text}\n`)
const iterations = options.quick ? 10 : undefined

function roundCount() {
  const { rounds = options.quick ? '2' : '5' } = options
  if (!/^[1-9]\d*$/.test(rounds)) throw new Error(`--rounds ${rounds} must be a whole number from 1 on`)
  return Number(rounds)
}

function chosenPeers() {
  const names = options.only?.split(',') ?? PEERS.map(({ peer }) => peer)
  const unknown = names.find((name) => !PEERS.some(({ peer }) => peer === name))
  if (unknown !== undefined) {
    throw new Error(`--only ${unknown} is unknown; there are ${[...new Set(PEERS.map(({ peer }) => peer))].join(', ')}`)
  }
  return PEERS.filter(({ peer }) => names.includes(peer))
}

/** @param {readonly import('./programs.mjs').Program[]} programs @returns {[present: import('./programs.mjs').Program[], absent: string[]]} */
function build(programs) {
  /** @type {string[]} */
  const absent = []
  const present = programs.filter((program) => {
    try {
      program.build()
      return true
    } catch (error) {
      const { message } = /** @type {Error} */ (error)
      absent.push(
        `${program.peer} (${program.transport}) is absent: ${message.trim().split('\n').slice(0, 3).join(' ')}`,
      )
      return false
    }
  })
  return [present, absent]
}

/**
 * Ours directly before theirs, or directly after: what else the machine does changes within seconds.
 *
 * @param {import('./programs.mjs').Program} program
 * @param {number} n
 * @param {boolean} oursFirst
 * @returns {Promise<import('./rows.mjs').Sample>}
 */
async function sample({ peer, transport, ourTransport, op, placements, start }, n, oursFirst) {
  const mine = () => runProgram(ours(n, { op, placements, sizes: SIZES, iterations, transport: ourTransport }), n)
  const first = oursFirst ? await mine() : undefined
  const theirs = await runProgram(start(n, casesOf(SIZES, iterations)), n)
  return { peer, transport, ourTransport, theirs, ours: first ?? (await mine()) }
}

/** @param {readonly import('./programs.mjs').Program[]} programs */
async function measure(programs) {
  /** @type {import('./rows.mjs').Sample[]} */
  const samples = []
  /** @type {import('./run.mjs').Line[][]} */
  const own = []
  const rounds = roundCount()
  for (let round = 0; round < rounds; round++) {
    say(`round ${round + 1} of ${rounds}`)
    // Nobody is always measured after the same neighbour.
    const order = round % 2 === 0 ? programs : programs.toReversed()
    for (const n of PEER_RANKS) {
      for (const [i, program] of order.entries()) samples.push(await sample(program, n, (round + i) % 2 === 0))
    }
    const over = /** @type {const} */ ({ placements: 'out,in-place', sizes: SIZES, iterations, transport: 'tcp' })
    const what = { op: 'barrier,sum,adasum', ...over }
    for (const n of OWN_RANKS) own.push(await runProgram(ours(n, what), n))
  }
  return [...peerRows(samples), ...ownRows(own)]
}

async function main() {
  const chosen = chosenPeers()
  if (options.install) return install(chosen)
  const [present, absent] = build(chosen)
  const rows = absent.length > 0 && options.require ? [] : await measure(present)
  if (options.json) for (const row of rows) console.log(JSON.stringify(row))
  else if (rows.length > 0) console.log(`${table(rows)}\n\n${summary(rows)}`)
  for (const text of absent) say(text)
  if (absent.length > 0 && options.require) process.exitCode = 1
}

try {
  await main()
} catch (error) {
  say(/** @type {Error} */ (error).message)
  process.exitCode = 1
}
