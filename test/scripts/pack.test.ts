/** What is published: names of platforms, and the manifest that users get. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { type AnyManifest, packedManifest } from '../../scripts/lib/packed-manifest.mjs'
import { addonsIn, missingPlatforms, platformOf } from '../../scripts/lib/platforms.mjs'

test('platforms are named as npm packages are', (t) => {
  t.deepEqual(
    ['x86_64-unknown-linux-gnu', 'aarch64-unknown-linux-musl', 'aarch64-apple-darwin', 'x86_64-pc-windows-msvc'].map(
      platformOf,
    ),
    ['linux-x64-gnu', 'linux-arm64-musl', 'darwin-arm64', 'win32-x64-msvc'],
  )
  t.throws(() => platformOf('riscv64gc-unknown-linux-gnu'), { message: /riscv64gc-unknown-linux-gnu/ })
})

test('addons are found in a folder and below it, and what is missing is named', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'adasum-addons-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  mkdirSync(join(folder, 'one'))
  for (const file of ['one/adasum.linux-x64-gnu.node', 'adasum.darwin-arm64.node', 'adasum.node', 'other.win32.node'])
    writeFileSync(join(folder, file), '')
  const addons = addonsIn(folder, 'adasum')
  t.deepEqual(addons, [
    ['darwin-arm64', join(folder, 'adasum.darwin-arm64.node')],
    ['linux-x64-gnu', join(folder, 'one', 'adasum.linux-x64-gnu.node')],
  ])
  const targets = ['x86_64-unknown-linux-gnu', 'aarch64-apple-darwin', 'x86_64-pc-windows-msvc']
  t.deepEqual(
    missingPlatforms(
      targets,
      addons.map(([platform]) => platform),
    ),
    ['win32-x64-msvc'],
  )
})

test('the packed manifest names the platform packages of its version, and nothing that only a checkout has', (t) => {
  const entry = { 'adasum-source': './ts/src/index.ts', types: './dist/index.d.ts', default: './dist/index.js' }
  const committed = {
    ...{
      name: 'adasum',
      version: '1.2.3',
      type: 'module',
      dependencies: { commander: '^14.0.0' },
      imports: { '#n': './n' },
    },
    exports: { '.': { browser: entry, default: './x.js' }, './package.json': './package.json' },
    ...{ scripts: { start: 'x' }, devDependencies: { ava: '1' }, overrides: {}, napi: {}, files: [] },
  } as unknown as AnyManifest
  const { 'adasum-source': _, ...published } = entry
  t.deepEqual(packedManifest(committed, ['linux-x64-gnu', 'darwin-arm64']) as unknown, {
    ...{
      name: 'adasum',
      version: '1.2.3',
      type: 'module',
      dependencies: { commander: '^14.0.0' },
      imports: { '#n': './n' },
    },
    exports: { '.': { browser: published, default: './x.js' }, './package.json': './package.json' },
    optionalDependencies: { 'adasum-darwin-arm64': '1.2.3', 'adasum-linux-x64-gnu': '1.2.3' },
  })
})
