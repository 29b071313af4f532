#!/usr/bin/env node
// The studies' engine, by its tests, and then the studies on small data, one after the other: each runs to its end, its processes
// come to the bits of simulated workers, and every setting has what docs/studies.md says. `npm run test:studies` runs it, with
// `-- --only largest-batch,elastic` those studies alone; the last line counts.

import { spawnSync } from 'node:child_process'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { STUDIES } from '../studies/questions/index.ts'
import { FOLDERS_OF_SUITES, parallelAvaSuite } from './lib/ava-suite.mjs'
import { sum, summaryLine } from './lib/results.mjs'
import { runSuite } from './lib/suite.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const FIELDS = ['seeds', 'mean', 'interval', 'diverged', 'bestInsideGrid']

const { values } = parseArgs({ options: { only: { type: 'string' } } })
const known = STUDIES.map(({ name }) => name)
const names = values.only?.split(',') ?? known
const unknown = names.find((name) => !known.includes(name))
if (unknown !== undefined) throw new Error(`there is no study ${unknown}; there are ${known.join(', ')}`)

/** @param {string} name @returns {string | undefined} what is wrong */
function problemOf(name) {
  const args = ['run', '--silent', 'study', '--', name, '--quick', '--json']
  const { status, stdout } = spawnSync('npm', args, {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (status !== 0) return `exit code ${status}`
  const { study, settings, processes } = JSON.parse(stdout.trim().split('\n').at(-1) ?? '')
  if (study !== name || !processes.equal)
    return `the last line is of ${study}, and its processes ${JSON.stringify(processes)}`
  if (settings.length === 0) return 'no settings'
  const bad = settings.find(
    (/** @type {Record<string, unknown>} */ setting) =>
      FIELDS.some((field) => !(field in setting)) || !Number.isFinite(setting['mean']),
  )
  return bad && `a setting lacks something: ${JSON.stringify(bad)}`
}

const folders = FOLDERS_OF_SUITES['test:studies'].map((name) => `test/${name}/**`)
const engine = await runSuite(parallelAvaSuite(root, 'the engine', folders), root)
let failed = 0
for (const name of names) {
  const begin = performance.now()
  const problem = problemOf(name)
  const seconds = ((performance.now() - begin) / 1000).toFixed(0)
  if (problem !== undefined) failed++
  console.log(problem === undefined ? `ok - ${name} (${seconds} s)` : `not ok - ${name}: ${problem}`)
}
const total = sum([engine, { passed: names.length - failed, failed, skipped: 0, notes: [] }])
console.log('')
for (const note of total.notes) console.log(note)
console.log(summaryLine(total))
if (total.failed > 0) process.exitCode = 1
