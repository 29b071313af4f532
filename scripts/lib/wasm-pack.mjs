// The WebAssembly builds by wasm-pack, which makes those that are published. Tests use the same without it, since compiling
// wasm-pack takes longer than all the builds; `npm run test:wasm-pack` shows that the two do not differ in a byte.

import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { ToolError, runTool } from './tool.mjs'
import { BOUND_NAME, BUILDS, cargoEnvironment, collectBuilds, explained } from './wasm-build.mjs'
import { versionOf, wasmBindgen, wasmToolchain } from './wasm-tools.mjs'

const VERSION = '0.15.1'

/** @typedef {import('./wasm-tools.mjs').Say} Say */

/**
 * @param {string} root
 * @param {string} out folder for the builds and their glue
 * @param {Say} say
 */
export async function buildByWasmPack(root, out, say) {
  const { args, env } = await wasmToolchain(root, say)
  const [tool, bindgen] = [await wasmPack(root, say), await wasmBindgen(root, say)]
  // A folder of its own: what cargo made for the tests is not to be found here.
  const folder = join(root, 'target', 'wasm-pack')
  const boundFolder = (/** @type {string} */ name) => join(folder, 'bound', name)
  // Otherwise wasm-pack downloads wasm-bindgen's command, or compiles it for minutes.
  const path = [dirname(bindgen), process.env['PATH'] ?? ''].join(delimiter)
  for (const { name, crate, flags } of BUILDS) {
    say(`wasm-pack build: ${name}`)
    const bound = boundFolder(name)
    rmSync(bound, { recursive: true, force: true })
    const kind = ['--target', 'no-modules', '--mode', 'force', '--no-pack', '--profile', 'wasm']
    const where = ['--no-typescript', '--no-gitignore', '--out-name', BOUND_NAME, '--out-dir', bound]
    const what = ['build', join(root, 'crates', crate), ...kind, ...where, '--', '--locked', ...args]
    const environment = { ...cargoEnvironment(env, flags, folder), PATH: path }
    await explained(runTool('wasm-pack', tool, what, { cwd: root, env: environment }))
  }
  collectBuilds(out, boundFolder)
}

/**
 * The one on PATH if it is of the right version, otherwise it is compiled into .tools/.
 *
 * @param {string} root
 * @param {Say} say
 * @returns {Promise<string>} its path
 */
async function wasmPack(root, say) {
  if ((await versionOf('wasm-pack', root)) === VERSION) return 'wasm-pack'
  const folder = join(root, '.tools', 'wasm-pack')
  const own = join(folder, 'bin', 'wasm-pack')
  if (existsSync(own) && (await versionOf(own, root)) === VERSION) return own
  say(`cargo install: wasm-pack ${VERSION}`)
  mkdirSync(folder, { recursive: true })
  // It starts other programs: optimising it would take longer than it ever runs.
  const how = ['--debug', '--config', 'profile.dev.debug=false', '--config', 'profile.dev.incremental=false']
  const what = ['install', '--quiet', '--locked', ...how, '--root', folder, '--version', `=${VERSION}`, 'wasm-pack']
  // Outside the workspace, whose profiles and lock are not for it.
  await runTool('cargo install', 'cargo', what, { cwd: folder })
  if ((await versionOf(own, root)) === VERSION) return own
  throw new ToolError(`cargo install has left no wasm-pack ${VERSION} at ${own}`)
}
