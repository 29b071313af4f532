#!/usr/bin/env node
// Every test that needs no service: Rust's and TypeScript's. Where the machine lacks something, that part is skipped
// and the last lines say so; the very last one adds everything up. `npm test` runs it after the set-up.

import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readAva, readCargo, sum, summaryLine } from './lib/results.mjs'
import { runSuite } from './lib/suite.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

/** @type {import('./lib/suite.mjs').Suite[]} */
const SUITES = [
  {
    name: 'cargo test',
    command: 'cargo',
    // The addon for GPUs is built by `npm run test:gpu`: its graphics library takes minutes to compile.
    args: ['test', '--workspace', '--exclude', 'adasum-gpu-node', '--no-fail-fast'],
    read: readCargo,
    limitMinutes: 20,
  },
  {
    name: 'ava',
    command: process.execPath,
    args: [join(root, 'node_modules', 'ava', 'entrypoints', 'cli.mjs')],
    read: readAva,
    limitMinutes: 20,
  },
]

const results = []
for (const suite of SUITES) results.push(await runSuite(suite, root))

const total = sum(results)
console.log('')
for (const note of total.notes) console.log(note)
console.log(summaryLine(total))
if (total.failed > 0) process.exitCode = 1
