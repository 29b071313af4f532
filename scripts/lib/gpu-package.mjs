// The package adasum-gpu of this checkout: built into gpu/, and linked where the main package looks for it. Only what tests or
// measures a GPU builds it: its graphics library takes minutes to compile.

import { existsSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fingerprint } from './fingerprint.mjs'
import { runTool } from './tool.mjs'

const ADDON = ['--package', 'adasum-gpu-node']

/**
 * What every call of Cargo names that tests a GPU, the addon's build among them: the same profile, packages and features, since
 * otherwise the graphics library is compiled for each of them.
 */
const COMMON = ['--package', 'adasum-gpu', '--features', 'adasum-gpu/device,adasum-gpu-node/panics']
const PROFILE = ['--profile', 'gpu']

/** For everything but the addon's build, whose tool names the target itself. @param {string} target */
export function gpuCargoOptions(target) {
  return [...PROFILE, '--target', target, ...ADDON, ...COMMON]
}

/** @param {string} root */
export async function buildGpuPackage(root) {
  const stamp = join(root, 'gpu', '.stamp')
  const hash = fingerprint(root, ['Cargo.toml', 'Cargo.lock', 'crates', 'gpu/package.json'], {
    skip: ['benches', 'tests'],
  })
  if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== hash) {
    rmSync(stamp, { force: true })
    const cli = join(root, 'node_modules', '@napi-rs', 'cli', 'dist', 'cli.js')
    const what = [...ADDON, '--manifest-path', 'crates/adasum-gpu-node/Cargo.toml']
    const where = [
      '--package-json-path',
      'gpu/package.json',
      '--output-dir',
      'gpu',
      '--js',
      'index.cjs',
      '--dts',
      'index.d.cts',
    ]
    const how = ['--platform', ...PROFILE]
    const beside = ['--', ...COMMON, '--lib', '--test', 'device', '--bench', 'gpu']
    await runTool('napi build', process.execPath, [cli, 'build', ...how, ...what, ...where, ...beside], { cwd: root })
    writeFileSync(stamp, hash)
  }
  // npm ci removes what no lock file names.
  const link = join(root, 'node_modules', 'adasum-gpu')
  if (!existsSync(link)) symlinkSync(join('..', 'gpu'), link, 'junction')
}
