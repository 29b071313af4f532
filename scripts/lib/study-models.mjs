// The models that studies train, compiled for the processor of this machine into .tools/study-models. They are no part of the
// package, and nothing but studies needs them.

import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { completeFolder } from './complete-folder.mjs'
import { fingerprint } from './fingerprint.mjs'
import { explainCargo, requireCargo } from './requirements.mjs'
import { ToolError, runTool } from './tool.mjs'

const CRATE = 'adasum-study-models'
const LIBRARIES = { darwin: 'libadasum_study_models.dylib', win32: 'adasum_study_models.dll' }
const FALLBACK = 'libadasum_study_models.so'

/**
 * @param {string} root
 * @param {(text: string) => void} say
 * @returns {Promise<string>} the addon; compiled unless it is there
 * @throws {ToolError} if something that it takes is missing
 */
export async function studyModels(root, say) {
  const folder = join(root, '.tools', 'study-models')
  const recipe = fingerprint(root, ['Cargo.lock', `crates/${CRATE}`, 'scripts/lib/study-models.mjs'])
  const make = (/** @type {string} */ building) => build(root, building, say)
  await completeFolder(folder, recipe, make, { onWait: () => say('another process compiles the models; waiting') })
  return join(folder, 'models.node')
}

/**
 * @param {string} root
 * @param {string} building
 * @param {(text: string) => void} say
 */
async function build(root, building, say) {
  await requireCargo(root)
  say('cargo: the models')
  const target = join('target', 'study-models')
  // Whatever vector instructions there are: the order of additions is written down, and they do not change it.
  const env = { ...process.env, RUSTFLAGS: '-C target-cpu=native' }
  const args = ['build', '--release', '--locked', '--quiet', '--package', CRATE, '--target-dir', target]
  try {
    await runTool('cargo build', 'cargo', args, { cwd: root, env })
  } catch (error) {
    throw error instanceof ToolError ? explainCargo(error) : error
  }
  const library = LIBRARIES[/** @type {keyof typeof LIBRARIES} */ (process.platform)] ?? FALLBACK
  cpSync(join(root, target, 'release', library), join(building, 'models.node'))
}
