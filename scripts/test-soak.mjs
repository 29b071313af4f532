#!/usr/bin/env node
// A hundred thousand small collectives and a thousand large ones among three processes: memory and file descriptors must
// stay as they are. `npm run test:soak` runs it; the last line counts. Linux only: file descriptors are counted in /proc.

import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readRanks, summaryLine } from './lib/results.mjs'
import { runSuite } from './lib/suite.mjs'

const RANKS = 3
const [SMALL, LARGE] = [100_000, 1000]

const root = dirname(dirname(fileURLToPath(import.meta.url)))

const script = join('test', 'soak', 'rank.mjs')
const args = ['run', '-n', `${RANKS}`, '--node-option=--expose-gc', script, `${SMALL}`, `${LARGE}`]
const command = { command: process.execPath, args: [join('bin', 'adasum.js'), ...args] }
const counts = await runSuite({ name: 'soak', ...command, read: readRanks, limitMinutes: 20 }, root)
console.log(summaryLine(counts))
if (counts.failed > 0) process.exitCode = 1
