#!/usr/bin/env node
// A hundred thousand small collectives and a thousand large ones among three processes: memory and file descriptors must
// stay as they are. `npm run test:soak` runs it, with `-- --small 20000 --large 300` fewer; the last line counts. Linux only:
// file descriptors are counted in /proc.

import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { wholeNumber } from './lib/options.mjs'
import { readRanks, summaryLine } from './lib/results.mjs'
import { runSuite } from './lib/suite.mjs'

const RANKS = 3
const { values } = parseArgs({
  options: { small: { type: 'string', default: '100000' }, large: { type: 'string', default: '1000' } },
})
const counts = [wholeNumber('--small', values.small), wholeNumber('--large', values.large)]

const root = dirname(dirname(fileURLToPath(import.meta.url)))

const script = join('test', 'soak', 'rank.mjs')
const args = ['run', '-n', `${RANKS}`, '--node-option=--expose-gc', script, ...counts.map(String)]
const command = { command: process.execPath, args: [join('bin', 'adasum.js'), ...args] }
const outcome = await runSuite({ name: 'soak', ...command, read: readRanks, limitMinutes: 20 }, root)
console.log(summaryLine(outcome))
if (outcome.failed > 0) process.exitCode = 1
