#!/usr/bin/env node
// The adapter's tests with the oldest TensorFlow.js that package.json admits, installed into a folder of its own.
// `npm run test:tfjs-oldest` runs it, and `-- 4.9.0` another version; the last line counts.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { readAva, summaryLine } from './lib/results.mjs'
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

const redirection = new URL(`lib/tfjs-redirection.mjs?${pathToFileURL(folder).href}`, import.meta.url)
const env = { NODE_OPTIONS: `--import=${redirection.href}` }
const program = "import { version_core } from '@tensorflow/tfjs-core'; console.log(version_core)"
const found = execFileSync(process.execPath, ['--input-type=module', '--eval', program], {
  cwd: root,
  encoding: 'utf8',
  env: { ...process.env, ...env },
})
if (found.trim() !== version) throw new Error(`programs find TensorFlow.js ${found.trim()} instead of ${version}`)

const tests = readdirSync(join(root, 'test', 'adapters')).filter((name) => name.endsWith('.test.ts'))
const counts = await runSuite(
  {
    name: `TensorFlow.js ${version}`,
    command: process.execPath,
    args: [
      join(root, 'node_modules', 'ava', 'entrypoints', 'cli.mjs'),
      ...tests.map((name) => `test/adapters/${name}`),
    ],
    read: readAva,
    limitMinutes: 10,
    env,
  },
  root,
)
console.log(summaryLine(counts))
if (counts.failed > 0) process.exitCode = 1
