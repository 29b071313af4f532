#!/usr/bin/env node
// Sets the checkout up: installs what package-lock.json names, builds the native addon and compiles TypeScript, each
// only if it is out of date. Scripts that need a build begin with it; it prints to stderr, and nothing if all is there.
//
//   node scripts/setup.mjs                          what most programs need: dependencies, the addon, TypeScript
//   node scripts/setup.mjs all                      the WebAssembly builds, too
//   node scripts/setup.mjs dependencies             only that step and those it needs
//
// Uses Node's built-in modules only: it runs before anything is installed.

import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { withFolderLock } from './lib/folder-lock.mjs'
import { nodeProblem } from './lib/requirements.mjs'
import { STEPS, outdatedSteps, requestedSteps, runSteps } from './lib/setup-steps.mjs'
import { ToolError, endToolsOnSignals } from './lib/tool.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const say = (/** @type {string} */ text) => void process.stderr.write(`setup: ${text}\n`)

/** @param {readonly string[]} requested names of steps */
async function setUp(requested) {
  const problem = nodeProblem(process.versions.node, JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')))
  if (problem !== undefined) throw new ToolError(problem)
  const unknown = requested.find((name) => name !== 'all' && !(name in STEPS))
  if (unknown !== undefined) {
    throw new ToolError(`there is no step ${unknown}; the steps are ${Object.keys(STEPS).join(', ')}, and all`)
  }
  const names = requestedSteps(requested)
  if (outdatedSteps(root, names).length === 0) return

  endToolsOnSignals()
  const onWait = () => say('another set-up runs in this folder; waiting for it to end')
  await withFolderLock(join(root, '.setup', 'lock'), () => buildOutdated(names), { onWait })
}

/** @param {readonly string[]} names */
async function buildOutdated(names) {
  // Asked once more, since the process that held the lock before may have done it all.
  const outdated = outdatedSteps(root, names)
  if (outdated.length === 0) return
  const begin = performance.now()
  await runSteps(root, outdated, say)
  say(`done in ${((performance.now() - begin) / 1000).toFixed(1)} s`)
}

try {
  await setUp(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof ToolError)) throw error
  say(error.message)
  process.exitCode = 1
}
