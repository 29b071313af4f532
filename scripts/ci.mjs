#!/usr/bin/env node
// What a change must pass: lint, `npm test`, the core's tests under valgrind, the packed package in an empty folder, a
// browser, worlds of up to 64 processes, a soak, ranks that are killed, GPUs, and a short run of the kernels' figures.
// `.ci/run` starts it.

import { execFileSync, spawnSync } from 'node:child_process'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readSummary, sum, summaryLine } from './lib/results.mjs'
import { runSuite } from './lib/suite.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

/**
 * A check counts only if it fails: its success is no test that has passed.
 *
 * @param {string} name
 * @param {boolean} isGood
 */
function check(name, isGood) {
  if (!isGood) console.log(`${name} failed`)
  return { passed: 0, failed: isGood ? 0 : 1, skipped: 0, notes: [] }
}

function lint() {
  console.log('--- lint')
  const { status } = spawnSync('npm', ['run', 'lint'], { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })
  return check('lint', status === 0)
}

const changes = () => execFileSync('git', ['status', '--porcelain'], { cwd: root, encoding: 'utf8' })

/**
 * Set-up and tests must leave the checkout as it was: a lock file that a tool rewrites was not committed as it is.
 *
 * @param {string} before what `changes` said
 */
function unchanged(before) {
  const after = changes()
  if (after !== before) console.log(`\nThe run has changed or made files. Before:\n${before}\nAfter:\n${after}`)
  return check('unchanged checkout', after === before)
}

/** @param {string} script */
function npmSuite(script) {
  return runSuite({ name: script, command: 'npm', args: ['run', script], read: readSummary, limitMinutes: 40 }, root)
}

const wholeSuite = (/** @type {import('./lib/results.mjs').Counts} */ counts) =>
  // These have no part that a machine may lack.
  counts.skipped === 0 ? counts : { ...counts, failed: counts.failed + counts.skipped }

const KEYS = ['kernel', 'k', 'dtype', 'isa', 'bytes', 'gbps', 'limitGbps', 'ratioToLimit', 'ratioToTextbook']

/** @type {Record<string, number>} */
const LARGEST_ERRORS = { f64: 2 ** -50, f32: 2 ** -23, f16: 2 ** -10, bf16: 2 ** -7 }

/** The figures' program, on small vectors: every line has its fields, and no error beyond one rounding. */
function kernelFigures() {
  console.log('\n--- bench:kernels')
  const args = ['run', '--silent', 'bench:kernels', '--', '--json', '--quick']
  const { status, stdout } = spawnSync('npm', args, {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lines = stdout.split('\n').filter((line) => line.startsWith('{'))
  const isGood = (/** @type {string} */ line) => {
    const figures = JSON.parse(line)
    const largest = LARGEST_ERRORS[figures.dtype] ?? 0
    return `${Object.keys(figures)}` === `${[...KEYS, 'maxRelativeError']}` && figures.maxRelativeError <= largest
  }
  const bad = lines.filter((line) => !isGood(line))
  for (const line of bad) console.log(line)
  return check('bench:kernels', status === 0 && lines.length > 40 && bad.length === 0)
}

const before = changes()
const results = [
  lint(),
  await npmSuite('test'),
  wholeSuite(await npmSuite('test:valgrind')),
  wholeSuite(await npmSuite('test:package')),
  wholeSuite(await npmSuite('test:browser')),
  wholeSuite(await npmSuite('test:worlds')),
  wholeSuite(await npmSuite('test:soak')),
  wholeSuite(await npmSuite('test:kills')),
  wholeSuite(await npmSuite('test:gpu')),
  kernelFigures(),
  unchanged(before),
]
const total = sum(results)
console.log('')
for (const note of total.notes) console.log(note)
console.log(summaryLine(total))
if (total.failed > 0) process.exitCode = 1
