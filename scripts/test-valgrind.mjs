#!/usr/bin/env node
// The core's tests under valgrind: no kernel reads or writes beside its arguments, whatever lengths, offsets and tables
// it is given. (Miri would see more, but needs a nightly compiler, and runs no vector instructions.) Valgrind knows no
// AVX-512 and hides it, so AVX2 and the scalar form are what runs. `npm run test:valgrind` runs it; the last line counts.

import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { installPackages, works } from './lib/debian.mjs'
import { readCargo, sum, summaryLine } from './lib/results.mjs'
import { runSuite } from './lib/suite.mjs'

/** The tests of hostile arguments, conversions, odd offsets and lengths, and threads. */
const TESTS = ['hostile', 'half', 'canonical', 'threads']

const root = dirname(dirname(fileURLToPath(import.meta.url)))

installPackages(['valgrind'], () => works('valgrind', ['--version']))
const env = { CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER: 'valgrind --quiet --error-exitcode=9' }

/**
 * Valgrind runs one thread at a time, so parts run beside each other; cargo itself sees to it that one of them compiles.
 *
 * @param {string} tests
 * @returns {import('./lib/suite.mjs').Suite}
 */
const suiteOf = (tests) => ({
  name: `valgrind, ${tests}`,
  command: 'cargo',
  args: ['test', '--release', '--package', 'adasum-core', '--test', 'all', '--', `${tests}::`],
  read: readCargo,
  limitMinutes: 20,
  env,
})

const counts = sum(await Promise.all(TESTS.map((tests) => runSuite(suiteOf(tests), root))))
for (const note of counts.notes) console.log(note)
console.log(summaryLine(counts))
if (counts.failed > 0) process.exitCode = 1
