#!/usr/bin/env node
// What a user gets: the packed tarball, installed into an empty folder on a machine without Rust, and README's first
// minute done there, within a minute. Nothing is skipped; the last line counts. `npm run test:package` runs it.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { firstMinuteOf } from './lib/first-minute.mjs'
import { summaryLine } from './lib/results.mjs'

const FIRST_MINUTE_MS = 60_000

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const scratch = mkdtempSync(join(tmpdir(), 'adasum-package-'))
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }))
const home = join(scratch, 'project')
const run = promisify(execFile)

/** Node.js, npm and a shell, and nothing else: whatever compiles would have nothing to compile with. */
function pathWithoutRust() {
  const bin = join(scratch, 'bin')
  mkdirSync(bin)
  symlinkSync(process.execPath, join(bin, 'node'))
  for (const name of ['npm', 'npx', 'sh']) symlinkSync(whereIs(name), join(bin, name))
  return bin
}

/** @param {string} name */
function whereIs(name) {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    try {
      return realpathSync(join(folder, name))
    } catch {
      // Not in this folder.
    }
  }
  throw new Error(`there is no ${name} on PATH`)
}

// A user's npm is not the child of another one, which would hand down this checkout as its project.
const inherited = Object.entries(process.env).filter(
  ([name]) =>
    !/^(npm_(package|lifecycle|command|execpath|node_execpath|config_local_prefix)|INIT_CWD|ADASUM_)/.test(name),
)
const env = { ...Object.fromEntries(inherited), PATH: pathWithoutRust() }

/**
 * @param {string} command as a user types it
 * @param {number} [timeout] in ms
 */
async function inProject(command, timeout = FIRST_MINUTE_MS) {
  try {
    return await run('sh', ['-c', command], { cwd: home, env, timeout, maxBuffer: 1 << 26 })
  } catch (error) {
    const {
      stdout = '',
      stderr = '',
      killed,
    } = /** @type {{ stdout?: string, stderr?: string, killed?: boolean }} */ (error)
    const reason = killed === true ? `not done after ${timeout} ms` : String(error)
    throw new Error(`${command}: ${reason}\n${stdout}${stderr}`, { cause: error })
  }
}

/**
 * @param {string} code of an ES module in the project
 * @param {string} [options] for Node.js
 */
async function node(code, options = '') {
  writeFileSync(join(home, 'probe.mjs'), code)
  return (await inProject(`node ${options} probe.mjs`)).stdout
}

/** @type {{ path: string, files: string[] }} */
const packed = { path: '', files: [] }

/** @type {Record<string, () => Promise<void>>} */
const TESTS = {
  async 'the tarball has what the package needs, and no more'() {
    const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', scratch]
    const { stdout } = await run('npm', args, { cwd: root, maxBuffer: 1 << 26 })
    const [{ filename, files }] = JSON.parse(stdout)
    packed.path = join(scratch, filename)
    packed.files = files.map((/** @type {{ path: string }} */ file) => file.path)
    for (const file of ['bin/adasum.js', 'dist/index.js', 'dist/index.d.ts', 'native/index.cjs', 'README.md'])
      assert.ok(packed.files.includes(file), `${file} is missing`)
    for (const file of ['LICENSE-MIT', 'LICENSE-APACHE', 'CHANGELOG.md', 'package.json'])
      assert.ok(packed.files.includes(file), `${file} is missing`)
    const addons = packed.files.filter((file) => file.endsWith('.node'))
    assert.equal(addons.length, 1)
    assert.match(addons[0] ?? '', new RegExp(`^native/adasum\\.${process.platform}-${process.arch}\\b.*\\.node$`))
    const allowed = /^(bin\/adasum\.js|dist\/.+\.(js|d\.ts)|native\/.+|[A-Z-]+(\.md)?|package\.json)$/
    const surplus = packed.files.filter((file) => !allowed.test(file) || /(^|\/)\./.test(file))
    assert.deepEqual(surplus, [])
  },

  async 'README’s first minute, word for word but for the tarball, in under a minute'() {
    const { install, program, command, output } = firstMinuteOf(readFileSync(join(root, 'README.md'), 'utf8'))
    writeFileSync(join(home, 'train.mjs'), program)
    const begin = performance.now()
    const fromTarball = install.replace(/\badasum\b/, packed.path)
    await inProject(`${fromTarball} --prefer-offline --no-audit --no-fund --loglevel=error`)
    const { stdout, stderr } = await inProject(command, Math.ceil(FIRST_MINUTE_MS - (performance.now() - begin)))
    assert.match(stdout, output)
    assert.equal(stderr, '')
    console.log(`installed and trained in ${((performance.now() - begin) / 1000).toFixed(1)} s`)
  },

  async 'there was no Rust and no compiler about'() {
    for (const name of ['cargo', 'rustc', 'cc', 'gcc']) await assert.rejects(inProject(`${name} --version`), name)
  },

  async 'every export can be imported'() {
    const names = Object.keys(manifest.exports).filter((name) => name !== './package.json')
    for (const name of names) {
      const specifier = name.replace('.', 'adasum')
      assert.equal(await node(`console.log(Object.keys(await import('${specifier}')).length > 0)`), 'true\n', specifier)
    }
    assert.equal(
      await node(`import m from 'adasum/package.json' with { type: 'json' }; console.log(m.version)`, '--no-warnings'),
      `${manifest.version}\n`,
    )
  },

  async 'require() and import give the same module, and it computes'() {
    const code = `
import { createRequire } from 'node:module'
import * as imported from 'adasum'
const required = createRequire(import.meta.url)('adasum')
const { result } = await imported.adasum([Float32Array.of(1, 0), Float32Array.of(0, 2)])
console.log(required.adasum === imported.adasum, result.join())`
    assert.equal(await node(code, '--no-warnings'), 'true 1,2\n')
  },

  async 'its types compile in a user’s project, library check included'() {
    const code = `
import { type Communicator, AdasumError, adasum, connect } from 'adasum'
const comm: Communicator = await connect()
const { result, segments } = await comm.allReduce(new Float32Array(3), { op: 'adasum', segments: [1, 2] })
const values: Float32Array = result
const part: number | undefined = segments[0]?.orthogonality
const local: Float64Array = (await adasum([new Float64Array(2)])).result
// @ts-expect-error: op is required
await comm.allReduce(values, {})
console.log(values, part, local, AdasumError)
await comm.close()
export {}`
    writeFileSync(join(home, 'user.mts'), code)
    const modules = join(root, 'node_modules')
    const options = `--noEmit --strict --exactOptionalPropertyTypes --module nodenext --target es2023 --lib es2023,esnext.disposable`
    const types = `--types node --typeRoots '${join(modules, '@types')}'`
    await inProject(`node '${join(modules, 'typescript', 'bin', 'tsc')}' ${options} ${types} user.mts`)
  },

  async 'npx adasum doctor finds nothing essential wrong'() {
    const { stdout } = await inProject('npx adasum doctor --json')
    const report = JSON.parse(stdout)
    assert.equal(report.ok, true)
    assert.equal(report.versions.adasum, manifest.version)
  },
}

mkdirSync(home)
writeFileSync(join(home, 'package.json'), '{ "private": true }\n')
const counts = { passed: 0, failed: 0, skipped: 0, notes: [] }
for (const [name, check] of Object.entries(TESTS)) {
  try {
    await check()
    counts.passed += 1
    console.log(`ok: ${name}`)
  } catch (error) {
    counts.failed += 1
    console.log(`FAILED: ${name}\n${error instanceof Error ? error.stack : error}`)
  }
}
console.log(summaryLine(counts))
if (counts.failed > 0) process.exitCode = 1
