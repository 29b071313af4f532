#!/usr/bin/env node
// What the package is made of: known weaknesses of its packages (npm audit), and licences, sources and known weaknesses of its crates
// (cargo-deny, by deny.toml). `npm run check:supply-chain` runs it, and the hosted workflow, where nothing may be left out:
// ADASUM_REQUIRE_AUDIT=1. Elsewhere a registry that does not answer, or a cargo-deny that is not installed, is said and
// passed over.

import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readAudit, readDeny, readDenyAdvisories } from './lib/supply-chain.mjs'
import { sum, summaryLine } from './lib/results.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const LIMIT_MS = 300_000
const isStrict = process.env['ADASUM_REQUIRE_AUDIT'] === '1'

/** Each with a lock file of its own. */
const NPM_FOLDERS = ['.', join('scripts', 'tfjs-node')]
const CARGO_MANIFESTS = ['Cargo.toml', join('scripts', 'wasm-bindgen', 'Cargo.toml')]

/**
 * @param {string} command
 * @param {readonly string[]} args
 * @param {string} [cwd]
 */
function ask(command, args, cwd = root) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, encoding: 'utf8', timeout: LIMIT_MS })
  return { status, output: stdout ?? '', words: `${stderr ?? ''}${error === undefined ? '' : error.message}` }
}

/** @returns {import('./lib/supply-chain.mjs').Finding[]} */
function askAll() {
  const audits = NPM_FOLDERS.map((folder) => {
    const answer = ask('npm', ['audit', '--json', '--audit-level=moderate'], join(root, folder))
    return readAudit(`npm audit in ${folder}`, answer)
  })
  const hasDeny = ask('cargo', ['deny', '--version']).status === 0
  if (!hasDeny) return [...audits, { name: 'cargo deny', missing: 'cargo install --locked cargo-deny' }]
  const denials = CARGO_MANIFESTS.flatMap((manifest) => {
    const deny = (/** @type {string[]} */ ...what) =>
      ask('cargo', ['deny', '--manifest-path', manifest, 'check', '--config', join(root, 'deny.toml'), ...what])
    const name = `cargo deny, ${manifest}`
    return [
      readDeny(`${name}: licences, sources, bans`, deny('licenses', 'sources', 'bans')),
      readDenyAdvisories(`${name}: advisories`, deny('advisories')),
    ]
  })
  return [...audits, ...denials]
}

/**
 * @param {import('./lib/supply-chain.mjs').Finding} finding
 * @returns {import('./lib/results.mjs').Counts}
 */
function count({ name, missing, problem }) {
  const hasFailed = problem !== undefined || (isStrict && missing !== undefined)
  if (problem !== undefined) console.log(problem)
  const notes = hasFailed ? [`failed: ${name}`] : missing === undefined ? [] : [`skipped: ${name}: ${missing}`]
  const passes = !hasFailed && missing === undefined
  return { passed: Number(passes), failed: Number(hasFailed), skipped: Number(!hasFailed && !passes), notes }
}

const total = sum(askAll().map(count))
for (const note of total.notes) console.log(note)
console.log(summaryLine(total))
if (total.failed > 0) process.exitCode = 1
