// Debian's packages, for what a checkout cannot bring along: emulators, checkers, the libraries that benchmarks compare with.

import { execFileSync, spawnSync } from 'node:child_process'

/**
 * @param {string} command
 * @param {readonly string[]} args
 * @returns {boolean} whether it can be started and says yes
 */
export function works(command, args) {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0
}

/**
 * Installs packages unless all of them work already. Takes root. What apt says goes to stderr: stdout belongs to the
 * program for which they are installed.
 *
 * @param {readonly string[]} packages
 * @param {() => boolean} isThere
 */
export function installPackages(packages, isThere) {
  if (isThere()) return
  apt('update', '--quiet')
  apt('install', '--yes', '--quiet', '--no-install-recommends', ...packages)
}

/** @param {string[]} args */
function apt(...args) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  execFileSync('apt-get', args, { stdio: ['ignore', 2, 2], env })
}
