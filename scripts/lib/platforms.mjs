// Names of platforms, as npm packages with native addons have them: `linux-x64-gnu` for x86_64-unknown-linux-gnu.

import { readdirSync } from 'node:fs'
import { join } from 'node:path'

/** @type {Record<string, string>} */
const SYSTEMS = { linux: 'linux', darwin: 'darwin', windows: 'win32' }
/** @type {Record<string, string>} */
const CPUS = { x86_64: 'x64', aarch64: 'arm64' }

/** @param {string} target a target triple of Rust's */
export function platformOf(target) {
  const [cpu = '', , system = '', abi] = target.split('-')
  const name = [SYSTEMS[system], CPUS[cpu]]
  if (name.includes(undefined)) throw new Error(`there is no name for the platform ${target}`)
  return [...name, ...(abi === undefined ? [] : [abi])].join('-')
}

/**
 * The addons in a folder, or in folders below it, where a release has collected them.
 *
 * @param {string} folder
 * @param {string} binaryName
 * @returns {[platform: string, path: string][]} in the order of the platforms' names
 */
export function addonsIn(folder, binaryName) {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  const found = files.flatMap((file) => {
    const platform = new RegExp(`(?:^|[\\\\/])${binaryName}\\.([\\w-]+)\\.node$`).exec(file)?.[1]
    return platform === undefined ? [] : [/** @type {[string, string]} */ ([platform, join(folder, file)])]
  })
  return found.sort(([a], [b]) => (a < b ? -1 : 1))
}

/** @param {readonly string[]} targets @param {readonly string[]} platforms that are there */
export function missingPlatforms(targets, platforms) {
  return targets.map(platformOf).filter((platform) => !platforms.includes(platform))
}
