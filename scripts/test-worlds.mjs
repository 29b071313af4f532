#!/usr/bin/env node
// Worlds of many processes on this machine: every schedule and operator among up to 64 ranks. `npm run test:worlds` runs it,
// with `-- --sizes 17,33` those alone; the last line counts.

import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { wholeNumber } from './lib/options.mjs'
import { readRanks, sum, summaryLine } from './lib/results.mjs'
import { runSuite } from './lib/suite.mjs'

/** World sizes: the first beyond single-shot, an odd one, and the largest, which is a power of two. */
const SIZES = '17,33,64'

const { values } = parseArgs({ options: { sizes: { type: 'string', default: SIZES } } })
const sizes = values.sizes.split(',').map((text) => wholeNumber('--sizes', text))

const root = dirname(dirname(fileURLToPath(import.meta.url)))

const results = []
for (const size of sizes) {
  const args = [join('bin', 'adasum.js'), 'run', '-n', `${size}`, join('test', 'worlds', 'rank.mjs')]
  const suite = { name: `${size} ranks`, command: process.execPath, args, read: readRanks, limitMinutes: 10 }
  results.push(await runSuite(suite, root))
}
const total = sum(results)
console.log(summaryLine(total))
if (total.failed > 0) process.exitCode = 1
