#!/usr/bin/env node
// Every test that needs no service, but for the suites that have scripts of their own: Rust's and TypeScript's. Where the machine lacks something, that part is skipped
// and the last lines say so; the very last one adds everything up. `npm test` runs it after the set-up; with `-- --all-cases`
// the tests go through all cases of which they otherwise take a sample.

import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { parallelAvaSuite, remainingTests } from './lib/ava-suite.mjs'
import { readCargo, sum, summaryLine } from './lib/results.mjs'
import { runSuite } from './lib/suite.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const { values } = parseArgs({ options: { 'all-cases': { type: 'boolean', default: false } } })
const limitMinutes = values['all-cases'] ? 90 : 20
const env = values['all-cases'] ? { ADASUM_CASES: 'all' } : {}

const EXCLUDED = ['adasum-bench', 'adasum-fuzz', 'adasum-study-models', 'adasum-gpu', 'adasum-gpu-node']

/** @type {import('./lib/suite.mjs').Suite[]} */
const SUITES = [
  {
    name: 'cargo test',
    command: 'cargo',
    // What is for GPUs is tested by `npm run test:gpu`: its libraries take long to compile, as do those of the benchmarks and studies.
    args: ['test', '--workspace', ...EXCLUDED.flatMap((name) => ['--exclude', name]), '--no-fail-fast'],
    read: readCargo,
    limitMinutes: 20,
  },
  parallelAvaSuite(root, 'ava', remainingTests(root), env, limitMinutes),
]

const results = []
for (const suite of SUITES) results.push(await runSuite(suite, root))

const total = sum(results)
console.log('')
for (const note of total.notes) console.log(note)
console.log(summaryLine(total))
if (total.failed > 0) process.exitCode = 1
