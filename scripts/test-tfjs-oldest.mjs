#!/usr/bin/env node
// The adapter's tests with the oldest TensorFlow.js that package.json admits, installed into a folder of its own.
// `npm run test:tfjs-oldest` runs it, and `-- 4.9.0` another version; the last line counts.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { adapterSuite, environmentWith } from './lib/adapter-tests.mjs'
import { summaryLine } from './lib/results.mjs'
import { runSuite } from './lib/suite.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const { peerDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const version = process.argv[2] ?? /^\^(\d+\.\d+\.\d+)$/.exec(peerDependencies['@tensorflow/tfjs-core'])?.[1]
if (version === undefined) throw new Error('the range of @tensorflow/tfjs-core in package.json is not ^x.y.z')

const folder = mkdtempSync(join(tmpdir(), 'adasum-tfjs-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
writeFileSync(join(folder, 'package.json'), '{ "private": true }\n')
console.log(`test:tfjs-oldest: installs TensorFlow.js ${version}`)
const packages = ['core', 'layers', 'backend-cpu', 'backend-wasm'].map((name) => `@tensorflow/tfjs-${name}@${version}`)
execFileSync('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error', ...packages], {
  cwd: folder,
  stdio: ['ignore', 'ignore', 'inherit'],
})

const env = environmentWith(folder)
const program = "import { version_core } from '@tensorflow/tfjs-core'; console.log(version_core)"
const found = execFileSync(process.execPath, ['--input-type=module', '--eval', program], {
  cwd: root,
  encoding: 'utf8',
  env: { ...process.env, ...env },
})
if (found.trim() !== version) throw new Error(`programs find TensorFlow.js ${found.trim()} instead of ${version}`)

const counts = await runSuite(adapterSuite(root, `TensorFlow.js ${version}`, env), root)
console.log(summaryLine(counts))
if (counts.failed > 0) process.exitCode = 1
