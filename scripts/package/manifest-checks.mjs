// What is in the tarballs, before anybody installs them.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Compilers differ by some per cent, and so do notes in the changelog; a library that has crept in does more. */
const SIZE_TOLERANCE = 0.1

/** @param {string} tarball @returns {Promise<string[]>} */
async function filesOf(tarball) {
  const { stdout } = await run('tar', ['--list', '--file', tarball])
  return stdout
    .trim()
    .split('\n')
    .map((path) => path.replace(/^package\//, ''))
}

/** @param {string} tarball @returns {Promise<Record<string, any>>} */
async function manifestOf(tarball) {
  const { stdout } = await run('tar', ['--extract', '--to-stdout', '--file', tarball, 'package/package.json'])
  return JSON.parse(stdout)
}

/** @type {import('./context.mjs').Checks} */
export const MANIFEST_CHECKS = {
  async 'the package has what it needs, no more, and no binary'({ tarballs }) {
    const files = await filesOf(tarballs.at(-1) ?? '')
    const needed = [
      'bin/adasum.js',
      'dist/index.js',
      'dist/index.d.ts',
      'native/index.cjs',
      'README.md',
      'package.json',
    ]
    for (const file of [...needed, 'LICENSE-MIT', 'LICENSE-APACHE', 'CHANGELOG.md'])
      assert.ok(files.includes(file), `${file} is missing`)
    const allowed = /^(bin\/adasum\.js|dist\/.+\.(js|d\.ts)|native\/index\.cjs|[A-Z-]+(\.md)?|package\.json)$/
    assert.deepEqual(
      files.filter((file) => !allowed.test(file) || /(^|\/)\./.test(file)),
      [],
    )
  },

  async 'a platform package has one addon and says where it runs'({ tarballs, manifest }) {
    assert.ok(tarballs.length >= 2)
    for (const tarball of tarballs.slice(0, -1)) {
      const { name, version, os, cpu, libc, main, engines } = await manifestOf(tarball)
      const platform = name.replace('adasum-', '')
      const addon = `adasum.${platform}.node`
      assert.deepEqual((await filesOf(tarball)).sort(), [
        'LICENSE-APACHE',
        'LICENSE-MIT',
        'README.md',
        addon,
        'package.json',
      ])
      assert.deepEqual([version, main], [manifest.version, addon])
      assert.deepEqual([...os, ...cpu], platform.split('-').slice(0, 2))
      if (os[0] === 'linux') assert.deepEqual(libc, [platform.endsWith('musl') ? 'musl' : 'glibc'])
      assert.match(engines.node, />= ?20/)
    }
  },

  async 'the addons for Linux need no newer C library than README says'({ root, tarballs }) {
    const said = /glibc (2\.\d+)/.exec(readFileSync(join(root, 'README.md'), 'utf8'))?.[1] ?? ''
    for (const tarball of tarballs.filter((path) => path.includes('-gnu-'))) {
      const { stdout } = await run('tar', ['--extract', '--to-stdout', '--wildcards', '--file', tarball, '*.node'], {
        encoding: 'latin1',
        maxBuffer: 1 << 28,
      })
      const needed = [...stdout.matchAll(/GLIBC_2\.(\d+)/g)].map(([, minor]) => Number(minor))
      assert.ok(needed.length > 0)
      assert.ok(Math.max(...needed) <= Number(said.split('.')[1]), `${tarball} needs glibc 2.${Math.max(...needed)}`)
    }
  },

  async 'nothing runs at installation, and the platform packages are exactly of this version'({ tarballs }) {
    const manifests = await Promise.all(tarballs.map(manifestOf))
    for (const { name, scripts = {}, devDependencies } of manifests)
      assert.deepEqual([scripts, devDependencies], [{}, undefined], name)
    const packed = manifests.at(-1) ?? {}
    const platforms = manifests.slice(0, -1).map(({ name }) => [name, packed['version']])
    assert.deepEqual(Object.entries(packed['optionalDependencies']), platforms)
    assert.ok(!JSON.stringify(packed).includes('adasum-source'))
  },

  async 'the tarballs are about as large as the snapshot says'({ tools, tarballs }) {
    const path = join(tools, 'sizes.json')
    const found = Object.fromEntries(
      await Promise.all(tarballs.map(async (tarball) => [(await manifestOf(tarball))['name'], statSync(tarball).size])),
    )
    if (process.env['ADASUM_UPDATE_SIZES'] === '1') writeFileSync(path, `${JSON.stringify(found, null, 2)}\n`)
    /** @type {Record<string, number>} */
    const expected = JSON.parse(readFileSync(path, 'utf8'))
    for (const [name, byteLength] of Object.entries(found)) {
      const known = expected[name] ?? 0
      const advice = `${name} has ${byteLength} bytes, ${known} in ${path}: if that is right, run with ADASUM_UPDATE_SIZES=1`
      assert.ok(Math.abs(byteLength - known) <= SIZE_TOLERANCE * known, advice)
    }
  },

  async 'publint finds nothing'({ tools, tarballs }) {
    const { publint } = await import(pathToFileURL(createRequire(join(tools, 'package.json')).resolve('publint')).href)
    for (const tarball of tarballs) {
      const { buffer, byteOffset, byteLength } = readFileSync(tarball)
      const packed = { tarball: buffer.slice(byteOffset, byteOffset + byteLength) }
      const { messages } = await publint({ pack: packed, level: 'suggestion', strict: true })
      assert.deepEqual(messages, [], tarball)
    }
  },

  async 'the types are right under every way to resolve them that Node.js and bundlers have'({ tools, tarballs }) {
    // ES modules only: CommonJS of Node.js from 20.19 requires them.
    const attw = join(tools, 'node_modules', '@arethetypeswrong', 'cli', 'dist', 'index.js')
    await run(process.execPath, [
      attw,
      tarballs.at(-1) ?? '',
      '--profile',
      'esm-only',
      '--exclude-entrypoints',
      './package.json',
    ])
  },
}
