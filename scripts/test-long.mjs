#!/usr/bin/env node
// What is run by hand before a release: `npm test` with every case of which it otherwise takes a sample, and each suite of
// package.json in full, of which `.ci/run` takes parts. A script `test:NAME` that is added there runs here, too.
// `npm run test:long` runs it, with `-- --only kills,soak` those suites alone; the last line counts.

import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { complete, npmSuite, sum, summaryLine } from './lib/results.mjs'
import { runSuite } from './lib/suite.mjs'

const LIMIT_MINUTES = 180

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const { values } = parseArgs({ options: { only: { type: 'string' } } })
const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const names = Object.keys(scripts).filter((name) => name.startsWith('test:') && name !== 'test:long')
const wanted = values.only?.split(',').map((name) => `test:${name}`)
const unknown = wanted?.find((name) => !names.includes(name))
if (unknown !== undefined) throw new Error(`there is no suite ${unknown}; there are ${names.join(', ')}`)

const results = []
if (wanted === undefined) results.push(await runSuite(npmSuite('test', ['--all-cases'], LIMIT_MINUTES), root))
for (const name of wanted ?? names) results.push(complete(await runSuite(npmSuite(name, [], LIMIT_MINUTES), root)))

const total = sum(results)
console.log('')
for (const note of total.notes) console.log(note)
console.log(summaryLine(total))
if (total.failed > 0) process.exitCode = 1
