// What users do with the published packages.

import assert from 'node:assert/strict'
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { firstMinuteOf } from '../lib/first-minute.mjs'

const FIRST_MINUTE_MS = 60_000
const INSTALLERS = ['npm install adasum', 'pnpm add adasum', 'yarn add adasum']

const LOCAL = `
import { adasum } from 'adasum'
const { result } = await adasum([Float32Array.of(1, 0), Float32Array.of(0, 2)])
console.log(result.join())`

/** Two ranks train a weight a step each, and say what has computed. */
const TRAINING = `
import { connect } from 'adasum'
const comm = await connect()
const weights = new Float32Array(50_000)
for (let step = 0; step < 20; step++) {
  const gradient = weights.map((weight, i) => weight - (i % 2 === comm.rank ? 3 : weight))
  await comm.allReduce(gradient, { op: 'adasum' })
  for (let i = 0; i < weights.length; i++) weights[i] -= 0.5 * gradient[i]
}
const isTrained = weights.every((weight) => Math.abs(weight - 3) < 0.01)
console.log(isTrained, comm.metrics().binding.kind, comm.transport)
await comm.close()`

const RANKS = `
import { connect } from 'adasum'
const comm = await connect()
const { result } = await comm.allReduce(Float32Array.of(comm.rank, 1), { op: 'sum' })
console.log(result.join())
await comm.close()`

/** @type {import('./project.mjs').Project | undefined} */
let shared
/** @param {import('./context.mjs').Context} context a project in which npm has installed the package */
async function installed({ newProject }) {
  if (shared === undefined) {
    shared = newProject()
    await shared.run('npm install adasum --loglevel=error')
  }
  return shared
}

/**
 * @param {string} home
 * @returns {string} path of the platform's addon, wherever the package manager has put it
 */
function addonBelow(home) {
  const file = readdirSync(home, { recursive: true, encoding: 'utf8' }).find((path) => path.endsWith('.node'))
  assert.ok(file, 'no addon was installed')
  return join(home, file)
}

/** What a user of an entry has installed, by the entry. @type {Record<string, string>} */
const FRAMEWORKS = { './tfjs': '@tensorflow/tfjs-core @tensorflow/tfjs-layers', './jax': '@jax-js/jax' }

/** @type {import('./context.mjs').Checks} */
export const INSTALL_CHECKS = {
  async 'all packages can be published'({ publish }) {
    await publish()
  },

  async 'README’s first minute, word for word, in under a minute'({ root, newProject }) {
    const { install, program, command, output } = firstMinuteOf(readFileSync(join(root, 'README.md'), 'utf8'))
    const project = newProject()
    project.write('train.mjs', program)
    const begin = performance.now()
    await project.run(`${install} --prefer-offline --loglevel=error`, { timeoutMs: FIRST_MINUTE_MS })
    const timeoutMs = Math.ceil(FIRST_MINUTE_MS - (performance.now() - begin))
    const { stdout, stderr } = await project.run(command, { timeoutMs })
    assert.equal(stdout, output)
    assert.equal(stderr, '')
  },

  async 'there is no Rust and no compiler about'({ newProject }) {
    const project = newProject()
    for (const name of ['cargo', 'rustc', 'cc', 'gcc']) await assert.rejects(project.run(`${name} --version`), name)
  },

  ...Object.fromEntries(
    INSTALLERS.map((install) => [
      `${install}, and it computes, alone and as two ranks`,
      async (/** @type {import('./context.mjs').Context} */ { newProject }) => {
        const project = newProject()
        await project.run(install)
        assert.deepEqual(await project.node(LOCAL, '--no-warnings'), { stdout: '1,2\n', stderr: '' })
        project.write('ranks.mjs', RANKS)
        const { stdout } = await project.run('node node_modules/adasum/bin/adasum.js run -n 2 ranks.mjs')
        assert.deepEqual(stdout.trim().split('\n').sort(), ['[0] 1,2', '[1] 1,2'])
        const { stdout: report } = await project.run('node node_modules/adasum/bin/adasum.js doctor --json')
        assert.equal(JSON.parse(report).ok, true)
      },
    ]),
  ),

  async 'npx adasum run -n 2'(context) {
    const project = await installed(context)
    project.write('ranks.mjs', RANKS)
    const { stdout } = await project.run('npx adasum run -n 2 ranks.mjs')
    assert.deepEqual(stdout.trim().split('\n').sort(), ['[0] 1,2', '[1] 1,2'])
  },

  async 'every export can be imported'(context) {
    const project = await installed(context)
    for (const name of Object.keys(context.manifest.exports).filter((name) => name !== './package.json')) {
      const peers = FRAMEWORKS[name]
      if (peers !== undefined) await project.run(`npm install ${peers} --loglevel=error`)
      const code = `console.log(Object.keys(await import('${name.replace('.', 'adasum')}')).length > 0)`
      assert.equal((await project.node(code)).stdout, 'true\n', name)
    }
    const version = `import m from 'adasum/package.json' with { type: 'json' }; console.log(m.version)`
    assert.equal((await project.node(version, '--no-warnings')).stdout, `${context.manifest.version}\n`)
  },

  async 'require() and import give the same module'(context) {
    const project = await installed(context)
    const code = `
import { createRequire } from 'node:module'
import * as imported from 'adasum'
console.log(createRequire(import.meta.url)('adasum').adasum === imported.adasum)`
    assert.equal((await project.node(code, '--no-warnings')).stdout, 'true\n')
    project.write(
      'old.cjs',
      `const { sumSync } = require('adasum')\nconsole.log(sumSync([Float32Array.of(1), Float32Array.of(2)]).result[0])\n`,
    )
    assert.equal((await project.run('node --no-warnings old.cjs')).stdout, '3\n')
  },

  async 'its types compile in users’ projects, library check included'(context) {
    const project = await installed(context)
    project.write('user.mts', USER_PROGRAM)
    const modules = join(context.root, 'node_modules')
    const tsc = `node '${join(modules, 'typescript', 'bin', 'tsc')}' --noEmit --strict --exactOptionalPropertyTypes`
    const types = `--target es2023 --lib es2023,esnext.disposable --types node --typeRoots '${join(modules, '@types')}'`
    for (const resolution of [
      '--module node16 --moduleResolution node16',
      '--module esnext --moduleResolution bundler',
    ])
      await project.run(`${tsc} ${types} ${resolution} user.mts`)
  },

  async 'without addons, it computes as WebAssembly, alone and as two ranks'(context) {
    const project = await installed(context)
    assert.deepEqual(await project.node(LOCAL, '--no-warnings --no-addons'), { stdout: '1,2\n', stderr: '' })
    project.write('training.mjs', TRAINING)
    const { stdout, stderr } = await project.run('npx adasum run -n 2 --node-option=--no-addons training.mjs')
    assert.deepEqual(stdout.trim().split('\n').sort(), ['[0] true wasm tcp', '[1] true wasm tcp'])
    assert.equal(stderr, '')
  },

  async 'on a platform without an addon, it warns once, computes as WebAssembly, and trains in two ranks'({
    newProject,
  }) {
    const project = newProject()
    await project.run('npm install adasum --loglevel=error')
    rmSync(dirname(addonBelow(project.home)), { recursive: true })
    const code = `${LOCAL}\nconsole.log((await adasum([Float32Array.of(3)])).result[0])`
    const { stdout, stderr } = await project.node(code)
    assert.equal(stdout, '1,2\n3\n')
    assert.match(stderr, /^\(node:\d+\) \[ADASUM_WASM\] AdasumWarning: WebAssembly computes[^]*$/)
    assert.equal(stderr.match(/ADASUM_WASM/g)?.length, 1)
    const { stdout: report } = await project.run('node --no-warnings node_modules/adasum/bin/adasum.js doctor --json')
    assert.match(report, /wasm/)
    project.write('training.mjs', TRAINING)
    const ranks = await project.run('npx adasum run -n 2 training.mjs')
    assert.deepEqual(ranks.stdout.trim().split('\n').sort(), ['[0] true wasm tcp', '[1] true wasm tcp'])
    assert.equal(ranks.stderr.match(/ADASUM_WASM/g)?.length, 2)
  },

  async 'where npm has left the addon out, what the warning says brings it back'({ newProject }) {
    const project = newProject()
    await project.run('npm install adasum --omit=optional --loglevel=error')
    assert.throws(() => addonBelow(project.home), /no addon was installed/)
    const { stdout, stderr } = await project.node(LOCAL)
    assert.equal(stdout, '1,2\n')
    const [install = ''] = /npm install adasum-[\w-]+@[\w.-]*\w/.exec(stderr) ?? []
    assert.match(install, /^npm install adasum-/, stderr)
    await project.run(`${install} --loglevel=error`)
    assert.deepEqual(await project.node(LOCAL), { stdout: '1,2\n', stderr: '' })
  },

  async 'a damaged addon is a clear error'({ newProject }) {
    const project = newProject()
    await project.run('npm install adasum --loglevel=error')
    writeFileSync(addonBelow(project.home), 'not an addon')
    const code = `
import { adasum } from 'adasum'
await adasum([Float32Array.of(1)]).catch(({ code, message }) => console.log(code, message))`
    assert.match(
      (await project.node(code, '--no-warnings', { ADASUM_BINDING: 'native' })).stdout,
      /^ERR_BINDING .*cannot be loaded/,
    )
  },
}

const USER_PROGRAM = `
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
