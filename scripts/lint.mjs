#!/usr/bin/env node
// Everything about the text of the sources that a tool can judge. All checks run, also after one has failed.

import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const inModules = (/** @type {string[]} */ ...path) => [process.execPath, join(root, 'node_modules', ...path)]

/** Outside the workspace. */
const TOOL = ['--manifest-path', join('scripts', 'wasm-bindgen', 'Cargo.toml')]

/** @type {Record<string, string[]>} */
const CHECKS = {
  tsc: [...inModules('typescript', 'bin', 'tsc'), '--project', 'tsconfig.json'],
  eslint: [...inModules('eslint', 'bin', 'eslint.js'), '--max-warnings=0', '.'],
  prettier: [...inModules('prettier', 'bin', 'prettier.cjs'), '--log-level=warn', '--check', '.'],
  // What is public and says nothing of itself.
  typedoc: [...inModules('typedoc', 'bin', 'typedoc'), '--emit', 'none', '--logLevel', 'Warn'],
  rustfmt: ['cargo', 'fmt', '--all', '--check'],
  'rustfmt of the tool': ['cargo', 'fmt', '--check', ...TOOL],
  // What needs the graphics library is checked by `npm run test:gpu`, which compiles it in any case.
  clippy: [
    'cargo',
    'clippy',
    '--workspace',
    '--exclude',
    'adasum-gpu-node',
    '--all-targets',
    '--quiet',
    '--',
    '--deny=warnings',
  ],
  'clippy of the tool': [
    'cargo',
    'clippy',
    ...TOOL,
    '--locked',
    '--quiet',
    '--target-dir',
    join('.tools', 'wasm-bindgen'),
    '--',
    '--deny=warnings',
  ],
}

const failed = Object.entries(CHECKS).filter(([name, [command = '', ...args]]) => {
  console.log(`lint: ${name}`)
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })
  if (error !== undefined) console.log(`${name} could not be started: ${error.message}`)
  return status !== 0
})

if (failed.length > 0) process.exitCode = 1
console.log(failed.length === 0 ? 'lint: all passed' : `lint: failed: ${failed.map(([name]) => name).join(', ')}`)
