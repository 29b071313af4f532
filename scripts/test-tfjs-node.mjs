#!/usr/bin/env node
// The adapter on @tensorflow/tfjs-node: the tests of test/adapters, two ranks that train what the other backends train slowly or
// not at all, and the programs in docs/tensorflow.md that are for it. The package is built into .tools/ the first time (see lib/tfjs-node.mjs; Linux on x86-64), which may install
// Debian packages and then takes root. `npm run test:tfjs-node` runs it; the last line counts.

import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { adapterSuite, environmentWith } from './lib/adapter-tests.mjs'
import { avaSuite } from './lib/ava-suite.mjs'
import { readRanks, sum, summaryLine } from './lib/results.mjs'
import { runSuite } from './lib/suite.mjs'
import { tfjsNode } from './lib/tfjs-node.mjs'
import { endToolsOnSignals } from './lib/tool.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

/** What this file is about is another backend's. */
const OTHERS = 'training-kernels.test.ts'

const PROGRAMS = ['test/examples/snippets.test.ts', '--match', '*docs/tensorflow.md']

endToolsOnSignals()
const folder = await tfjsNode(root, (text) => console.log(`test:tfjs-node: ${text}`))
const env = {
  ...environmentWith(folder),
  ADASUM_TFJS_BACKEND: 'tensorflow',
  // TensorFlow itself is to print only warnings and errors.
  TF_CPP_MIN_LOG_LEVEL: '1',
}
const ranks = [join('bin', 'adasum.js'), 'run', '-n', '2', join('test', 'tfjs-node', 'rank.mjs')]
const results = [
  await runSuite(
    adapterSuite(root, 'the adapter on tfjs-node', env, (file) => file !== OTHERS),
    root,
  ),
  await runSuite(
    { name: 'two ranks on tfjs-node', command: process.execPath, args: ranks, read: readRanks, limitMinutes: 5, env },
    root,
  ),
  await runSuite(avaSuite(root, 'programs of docs/tensorflow.md', PROGRAMS, env), root),
]
const total = sum(results)
console.log('')
for (const note of total.notes) console.log(note)
console.log(summaryLine(total))
if (total.failed > 0) process.exitCode = 1
