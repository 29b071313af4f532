#!/usr/bin/env node
// Programs as users start them: the command adasum, the examples, and the code in the documents. `npm run test:programs` runs
// it; the last line counts.

import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { FOLDERS_OF_SUITES, parallelAvaSuite } from './lib/ava-suite.mjs'
import { summaryLine } from './lib/results.mjs'
import { runSuite } from './lib/suite.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

const folders = FOLDERS_OF_SUITES['test:programs'].map((name) => `test/${name}/**`)
const counts = await runSuite(parallelAvaSuite(root, 'programs', folders), root)
console.log('')
for (const note of counts.notes) console.log(note)
console.log(summaryLine(counts))
if (counts.failed > 0) process.exitCode = 1
