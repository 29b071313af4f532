#!/usr/bin/env node
// Two hundred worlds some of whose ranks are killed at random points: nothing may be left of them, and the others must end by
// themselves. `npm run test:kills` runs it, with `-- --rounds 50` fewer of them; the last line counts. Linux only. ADASUM_SEED
// repeats a run.

import { parseArgs } from 'node:util'
import { wholeNumber } from './lib/options.mjs'
import { summaryLine } from './lib/results.mjs'
import { runKills } from '../test/shared-memory/_kills.mjs'

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '200' } } })
const rounds = wholeNumber('--rounds', values.rounds)

const { problems } = await runKills({ rounds, say: (text) => console.log(text) })
for (const problem of problems) console.log(`not ok - ${problem}`)
const failed = new Set(problems.map((problem) => problem.split(':', 1)[0])).size
console.log(summaryLine({ passed: rounds - failed, failed, skipped: 0, notes: [] }))
if (failed > 0) process.exitCode = 1
