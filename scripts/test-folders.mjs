#!/usr/bin/env node
// A suite of whole folders of test/: programs as they are started (the command adasum, the examples, the code in the documents, the
// set-up), or faults (ranks that stop, die, close and lie). `npm run test:programs` and `npm run test:faults` run it; the last line counts.

import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { FOLDERS_OF_SUITES, parallelAvaSuite } from './lib/ava-suite.mjs'
import { summaryLine } from './lib/results.mjs'
import { runSuite } from './lib/suite.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

const script = /** @type {'test:programs' | 'test:faults' | 'test:fuzz'} */ (process.argv[2])
const folders = FOLDERS_OF_SUITES[script].map((name) => `test/${name}/**`)
const counts = await runSuite(parallelAvaSuite(root, script, folders), root)
console.log('')
for (const note of counts.notes) console.log(note)
console.log(summaryLine(counts))
if (counts.failed > 0) process.exitCode = 1
