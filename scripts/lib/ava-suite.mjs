// Runs of ava, as suites: which folders of test/ belong to which, and how many files run at once.

import { readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { readAva } from './results.mjs'

/**
 * Folders of test/ that are suites of their own, by their script: `npm test` has ten minutes, and these start programs as
 * users do, let them die, or train.
 */
export const FOLDERS_OF_SUITES = {
  'test:programs': ['cli', 'examples', 'scripts'],
  'test:faults': ['closing', 'faults'],
  'test:fuzz': ['fuzz'],
  'test:studies': ['studies'],
}

/** A file keeps about one core busy, and one more has something to do while others wait. */
const FILES_AT_ONCE = availableParallelism() + 1

/** @param {string} root @returns {string[]} what `npm test` gives to ava */
export function remainingTests(root) {
  const others = Object.values(FOLDERS_OF_SUITES).flat()
  const entries = readdirSync(join(root, 'test'), { withFileTypes: true })
  const folders = entries.filter((entry) => entry.isDirectory() && !others.includes(entry.name))
  return [...folders.map(({ name }) => `test/${name}/**`), 'test/*.test.ts']
}

/**
 * @param {string} root
 * @param {string} name
 * @param {readonly string[]} args of ava
 * @param {NodeJS.ProcessEnv} [env]
 * @param {number} [limitMinutes]
 * @returns {import('./suite.mjs').Suite}
 */
export function avaSuite(root, name, args, env = {}, limitMinutes = 10) {
  const ava = join(root, 'node_modules', 'ava', 'entrypoints', 'cli.mjs')
  return { name, command: process.execPath, args: [ava, ...args], read: readAva, limitMinutes, env }
}

/** The same with several files at once. @type {typeof avaSuite} */
export function parallelAvaSuite(root, name, args, env, limitMinutes) {
  const title = `${name}, ${FILES_AT_ONCE} files at once`
  return avaSuite(root, title, [`--concurrency=${FILES_AT_ONCE}`, ...args], env, limitMinutes)
}
