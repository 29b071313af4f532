#!/usr/bin/env node
// What a change must pass: lint, `npm test`, programs as they are started, faults, the builds for WebAssembly as they are
// published, the core's tests under valgrind, the packed package in an empty folder, TensorFlow.js's backend for Node.js, a study
// on small data, a browser, worlds of many processes, a soak, ranks that are killed, a GPU, and a short run of the kernels'
// figures. `.ci/run` starts it. What takes longer than a change can wait for is in `npm run test:long`.

import { execFileSync, spawnSync } from 'node:child_process'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { complete, npmSuite, sum, summaryLine, withFailureNamed } from './lib/results.mjs'
import { runSuite } from './lib/suite.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

/**
 * A check counts only if it fails: its success is no test that has passed.
 *
 * @param {string} name
 * @param {boolean} isGood
 */
function check(name, isGood) {
  return withFailureNamed(name, { passed: 0, failed: isGood ? 0 : 1, skipped: 0, notes: [] })
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

/** The limit for each suite. All of them together are to take less. */
const LIMIT_MINUTES = 40

/** @param {string} script @param {readonly string[]} args */
const suite = (script, ...args) => runSuite(npmSuite(script, args, LIMIT_MINUTES), root)

/** One that has no part that a machine may lack. @param {string} script @param {readonly string[]} args */
const wholeSuite = async (script, ...args) => complete(await suite(script, ...args))

const KEYS = ['kernel', 'k', 'dtype', 'isa', 'bytes', 'gbps', 'limitGbps']
const MATRIX_KEYS = ['kernel', 'dtype', 'isa', 'rows', 'columns', 'gflops', 'limitGflops']
const LAST_KEYS = ['ratioToLimit', 'ratioToTextbook', 'maxRelativeError']

/** The error of one rounding. @type {Record<string, number>} */
const LARGEST_ERRORS = { f64: 2 ** -50, f32: 2 ** -23, f16: 2 ** -10, bf16: 2 ** -7 }
/** The error of iterations over a matrix, which let roundings grow. @type {Record<string, number>} */
const LARGEST_MATRIX_ERRORS = { f64: 2 ** -44, f32: 2 ** -15 }

/** @param {string} line @returns {Record<string, any>} with no fields if it is no JSON: the run goes on, and the line is shown */
function parsed(line) {
  try {
    return JSON.parse(line)
  } catch {
    return {}
  }
}

/** @param {string} line */
function isGoodLine(line) {
  const figures = parsed(line)
  const isMatrix = figures.kernel === 'orthogonalize'
  const keys = [...(isMatrix ? MATRIX_KEYS : KEYS), ...LAST_KEYS]
  const largest = (isMatrix ? LARGEST_MATRIX_ERRORS : LARGEST_ERRORS)[figures.dtype] ?? 0
  return `${Object.keys(figures)}` === `${keys}` && figures.maxRelativeError <= largest
}

/** The figures' program, on small vectors and matrices: every line has its fields, and no error beyond its bound. */
function kernelFigures() {
  console.log('\n--- bench:kernels')
  const args = ['run', '--silent', 'bench:kernels', '--', '--json', '--quick']
  const { status, stdout } = spawnSync('npm', args, {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lines = stdout.split('\n').filter((line) => line.startsWith('{'))
  const bad = lines.filter((line) => !isGoodLine(line))
  for (const line of bad) console.log(line)
  return check('bench:kernels', status === 0 && lines.length > 40 && bad.length === 0)
}

const before = changes()
const results = [
  lint(),
  await suite('test'),
  await wholeSuite('test:programs'),
  await wholeSuite('test:faults'),
  await wholeSuite('test:wasm-pack'),
  await wholeSuite('test:valgrind'),
  await wholeSuite('test:package'),
  await wholeSuite('test:tfjs-node'),
  await wholeSuite('test:studies', '--only', 'largest-batch'),
  await wholeSuite('test:browser'),
  await wholeSuite('test:worlds', '--sizes', '17,33'),
  await wholeSuite('test:soak', '--small', '20000', '--large', '300'),
  await wholeSuite('test:kills', '--rounds', '50'),
  await wholeSuite('test:gpu', ...(process.platform === 'linux' ? ['--driver', 'llvmpipe'] : [])),
  kernelFigures(),
  unchanged(before),
]
const total = sum(results)
console.log('')
for (const note of total.notes) console.log(note)
console.log(summaryLine(total))
if (total.failed > 0) process.exitCode = 1
