#!/usr/bin/env node
// What a user gets: the packages as they are published, to a registry on this machine, and installed from it into empty
// folders on a machine without Rust, README's first minute among them. Nothing is skipped; the last line counts.
// `npm run test:package` runs it.

import { execFile, execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { summaryLine } from './lib/results.mjs'
import { INSTALL_CHECKS } from './package/install-checks.mjs'
import { MANIFEST_CHECKS } from './package/manifest-checks.mjs'
import { Project, makeBin } from './package/project.mjs'
import { startRegistry } from './package/registry.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const tools = join(root, 'test', 'package')
const scratch = mkdtempSync(join(tmpdir(), 'adasum-package-'))
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }))

console.log('test:package: installs its tools')
execFileSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], {
  cwd: tools,
  stdio: ['ignore', 'inherit', 'inherit'],
})
const packed = join(scratch, 'packed')
const { stdout } = await promisify(execFile)(process.execPath, [join(root, 'scripts', 'pack.mjs'), '--out', packed])
const tarballs = stdout.trim().split('\n')

mkdirSync(join(scratch, 'registry'))
const registry = await startRegistry(tools, join(scratch, 'registry'))
const bin = makeBin(join(scratch, 'bin'), tools)
let projects = 0
/** @type {import('./package/context.mjs').Context} */
const context = {
  root,
  tools,
  scratch,
  manifest: JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')),
  tarballs,
  publish: async () => {
    for (const tarball of tarballs) await registry.publish(tarball)
  },
  newProject: () => new Project(join(scratch, `project-${(projects += 1)}`), bin, registry.npmrc),
}

const counts = { passed: 0, failed: 0, skipped: 0, notes: [] }
for (const [name, check] of Object.entries({ ...MANIFEST_CHECKS, ...INSTALL_CHECKS })) {
  const begin = performance.now()
  try {
    await check(context)
    counts.passed += 1
    console.log(`ok: ${name} (${((performance.now() - begin) / 1000).toFixed(1)} s)`)
  } catch (error) {
    counts.failed += 1
    console.log(`FAILED: ${name}\n${error instanceof Error ? error.stack : error}`)
  }
}
await registry.close()
console.log(summaryLine(counts))
process.exit(counts.failed > 0 ? 1 : 0)
