// The package adasum-gpu of this checkout: built into gpu/, and linked where the main package looks for it. Only what tests or
// measures a GPU builds it: its graphics library takes minutes to compile.

import { existsSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fingerprint } from './fingerprint.mjs'
import { runTool } from './tool.mjs'

/** @param {string} root */
export async function buildGpuPackage(root) {
  const stamp = join(root, 'gpu', '.stamp')
  const hash = fingerprint(root, ['Cargo.toml', 'Cargo.lock', 'crates', 'gpu/package.json'], {
    skip: ['benches', 'tests'],
  })
  if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== hash) {
    rmSync(stamp, { force: true })
    const cli = join(root, 'node_modules', '@napi-rs', 'cli', 'dist', 'cli.js')
    const what = ['--package', 'adasum-gpu-node', '--manifest-path', 'crates/adasum-gpu-node/Cargo.toml']
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
    await runTool('napi build', process.execPath, [cli, 'build', '--platform', '--release', ...what, ...where], {
      cwd: root,
    })
    writeFileSync(stamp, hash)
  }
  // npm ci removes what no lock file names.
  const link = join(root, 'node_modules', 'adasum-gpu')
  if (!existsSync(link)) symlinkSync(join('..', 'gpu'), link, 'junction')
}
