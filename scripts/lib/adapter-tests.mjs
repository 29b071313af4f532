// The tests of the TensorFlow.js adapter, with another TensorFlow.js than the one that package.json names.

import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { avaSuite } from './ava-suite.mjs'

/**
 * @param {string} folder with node_modules of its own
 * @returns {{ NODE_OPTIONS: string }} the environment of programs that find TensorFlow.js there, and of those that they start
 */
export function environmentWith(folder) {
  const redirection = new URL(`tfjs-redirection.mjs?${pathToFileURL(folder).href}`, import.meta.url)
  return { NODE_OPTIONS: `--import=${redirection.href}` }
}

/**
 * @param {string} root
 * @param {string} name
 * @param {NodeJS.ProcessEnv} env
 * @param {(file: string) => boolean} isWanted
 * @returns {import('./suite.mjs').Suite} the files of test/adapters that are wanted
 */
export function adapterSuite(root, name, env, isWanted = () => true) {
  const files = readdirSync(join(root, 'test', 'adapters')).filter(
    (file) => file.endsWith('.test.ts') && isWanted(file),
  )
  return avaSuite(
    root,
    name,
    files.map((file) => `test/adapters/${file}`),
    env,
  )
}
