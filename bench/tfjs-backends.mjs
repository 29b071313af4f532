#!/usr/bin/env node
// How fast one process trains on each backend of TensorFlow.js: bench/tfjs-training.ts, one after the other. That of
// @tensorflow/tfjs-node is built into .tools/ first (Linux on x86-64), and runs with one thread and with its own choice.
//
//     npm run bench:tfjs-backends [-- --quick]
//
// Prints a JSON line a model and backend: images per second by the clock and of processor time, and the machine's load while
// it ran, with which the first of them falls. `--quick` is for a look at whether it runs.

import { execFileSync } from 'node:child_process'
import { loadavg } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { environmentWith } from '../scripts/lib/adapter-tests.mjs'
import { tfjsNode } from '../scripts/lib/tfjs-node.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false } } })

const folder = await tfjsNode(root, (text) => console.error(`bench:tfjs-backends: ${text}`))
const node = { ...environmentWith(folder), TF_CPP_MIN_LOG_LEVEL: '1' }
const oneThread = { TF_NUM_INTRAOP_THREADS: '1', TF_NUM_INTEROP_THREADS: '1' }

/** @type {[name: string, args: string[], env?: NodeJS.ProcessEnv][]} */
const BACKENDS = [
  ['cpu', ['--backend', 'cpu']],
  ['wasm', ['--backend', 'wasm', '--stock']],
  ['wasm, registerTrainingKernels', ['--backend', 'wasm']],
  ['tfjs-node, one thread', ['--backend', 'node'], { ...node, ...oneThread }],
  ['tfjs-node', ['--backend', 'node'], node],
]

for (const model of ['mlp', 'lenet']) {
  for (const [name, args, env = {}] of BACKENDS) {
    // It has no gradient of a convolution.
    if (model === 'lenet' && name === 'wasm') continue
    // Where a step takes seconds, few must do.
    const isSlow = values.quick || (model === 'lenet' && name === 'cpu')
    const count = isSlow ? ['--steps', '1', '--repeats', '3'] : ['--steps', '60', '--repeats', '7']
    const program = ['--conditions=adasum-source', '--import=tsx', join('bench', 'tfjs-training.ts'), '--model', model]
    const stdout = execFileSync(process.execPath, [...program, ...args, ...count], {
      cwd: root,
      encoding: 'utf8',
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const { imagesPerSecond, min, max, imagesPerProcessorSecond } = JSON.parse(stdout.trim().split('\n').at(-1) ?? '')
    const [load = NaN] = loadavg()
    const figures = { imagesPerSecond, min, max, imagesPerProcessorSecond, load: Number(load.toFixed(1)) }
    console.log(JSON.stringify({ model, backend: name, ...figures }))
  }
}
