// The steps of the set-up: what each needs, when it is out of date, and how it is done.
//
// A step that builds leaves a stamp, the hash of what it was built from, beside its output, so that it goes when the
// output goes. The stamp is removed before building and written after: a build that was cut off counts as none.

import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { filesBelow, fingerprint } from './fingerprint.mjs'
import { bundleJavaScript } from './javascript-bundle.mjs'
import { explainCargo, requireCargo } from './requirements.mjs'
import { ToolError, runTool } from './tool.mjs'
import { buildWasm, bundleForBrowsers } from './wasm-build.mjs'

/**
 * @typedef {(text: string) => void} Say
 * @typedef {object} Step
 * @property {readonly string[]} needs steps that must be done before
 * @property {true} [onRequest] done only if it is named, or all are
 * @property {(root: string) => boolean} isCurrent
 * @property {(root: string) => Promise<string>} [check] fails at once if the machine lacks something
 * @property {(root: string, checked: string) => Promise<void>} [begin] the part that can run before `needs` are done;
 *   `checked` is what `check` has found
 * @property {(root: string, say: Say) => Promise<void>} run
 */

/** @type {Record<string, Step>} */
export const STEPS = {
  dependencies: { needs: [], isCurrent: dependenciesAreCurrent, run: installDependencies },
  addon: {
    needs: ['dependencies'],
    isCurrent: (root) => stampIs(root, 'native', addonFingerprint(root)) && hasAddon(root),
    check: requireCargo,
    begin: compileAddon,
    run: buildAddon,
  },
  typescript: {
    needs: ['dependencies'],
    isCurrent: (root) => stampIs(root, 'dist', typescriptFingerprint(root)),
    run: compileTypeScript,
  },
  wasm: {
    needs: [],
    onRequest: true,
    isCurrent: (root) => stampIs(root, 'wasm', wasmFingerprint(root)),
    check: requireCargo,
    run: (root, say) => buildWebAssembly(root, say),
  },
  browser: {
    needs: ['dependencies', 'wasm'],
    onRequest: true,
    isCurrent: (root) => stampIs(root, 'wasm/browser', browserFingerprint(root)),
    run: bundleBrowser,
  },
}

/**
 * @param {readonly string[]} requested names of steps, or `all`; none stands for what most programs need
 * @returns {string[]} the steps and all they need, in the order of STEPS
 */
export function requestedSteps(requested) {
  const all = Object.keys(STEPS)
  if (requested.includes('all')) return all
  return withNeeds(requested.length > 0 ? requested : all.filter((name) => !STEPS[name]?.onRequest))
}

/**
 * @param {readonly string[]} names
 * @returns {string[]} the steps and all they need, in the order of STEPS
 */
export function withNeeds(names) {
  const wanted = new Set(names)
  for (const name of wanted) for (const need of STEPS[name]?.needs ?? []) wanted.add(need)
  return Object.keys(STEPS).filter((name) => wanted.has(name))
}

/**
 * @param {string} root
 * @param {readonly string[]} names
 */
export function outdatedSteps(root, names) {
  return names.filter((name) => STEPS[name]?.isCurrent(root) === false)
}

/**
 * Does the steps, each as soon as those it needs are done. All are waited for, also after a failure: a tool left
 * behind would write into a folder that the next set-up takes for its own.
 *
 * @param {string} root
 * @param {readonly string[]} names
 * @param {Say} say
 */
export async function runSteps(root, names, say) {
  const steps = names.map((name) => /** @type {const} */ ([name, /** @type {Step} */ (STEPS[name])]))
  /** @type {Record<string, string>} */
  const checked = {}
  for (const [name, step] of steps) checked[name] = (await step.check?.(root)) ?? ''
  /** @type {Record<string, Promise<void>>} */
  const done = {}
  for (const [name, step] of steps) {
    const started = [step.begin?.(root, checked[name] ?? ''), ...step.needs.map((need) => done[need])]
    done[name] = settled(started).then(() => step.run(root, say))
  }
  await settled(Object.values(done))
}

/** @param {readonly unknown[]} work waits for all, then throws the first failure */
async function settled(work) {
  for (const outcome of await Promise.allSettled(work)) if (outcome.status === 'rejected') throw outcome.reason
}

/**
 * Compares with the list npm keeps of what it has installed. It is written last, so an installation cut off has none;
 * and somebody who ran `npm ci` himself need not wait for a second one.
 *
 * @param {string} root
 */
function dependenciesAreCurrent(root) {
  const installedList = join(root, 'node_modules', '.package-lock.json')
  if (!existsSync(installedList)) return false
  const { packages: wanted } = readJson(join(root, 'package-lock.json'))
  const { packages: installed } = readJson(installedList)
  return Object.entries(wanted).every(([path, entry]) => {
    const found = installed[path]
    // Optional ones are for other platforms too; the list has those that fit this one.
    if (path === '' || (found === undefined && entry.optional)) return true
    return found?.version === entry.version && found?.integrity === entry.integrity
  })
}

/**
 * @param {string} root
 * @param {Say} say
 */
async function installDependencies(root, say) {
  say('npm ci: node_modules does not match package-lock.json')
  // No package here needs its install script. The log level is named because `npm --silent start` hands silence down.
  const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=warn']
  const npm = process.env['npm_execpath'] ?? ''
  if (basename(npm) === 'npm-cli.js') await runTool('npm ci', process.execPath, [npm, ...args], { cwd: root })
  else await runTool('npm ci', 'npm', args, { cwd: root })
}

/** @param {string} root */
function addonFingerprint(root) {
  return fingerprint(root, ['Cargo.toml', 'Cargo.lock', '.cargo', 'crates'], {
    skip: [
      'benches',
      'tests',
      'adasum-bench',
      'adasum-study-models',
      'adasum-wasm',
      'adasum-wasm-error',
      'adasum-gpu-wasm',
    ],
  })
}

/** @param {string} root */
function hasAddon(root) {
  return readdirSync(join(root, 'native')).some((name) => name.endsWith('.node'))
}

/**
 * Needs nothing of node_modules, so the crates compile while npm downloads. The build tool then finds all but the last
 * of them compiled, if the target is named as it does: cargo keeps one folder for a build with a target, one without.
 *
 * @param {string} root
 * @param {string} target
 */
async function compileAddon(root, target) {
  const targetArgs = target === '' ? [] : ['--target', target]
  await cargoTool('cargo build', 'cargo', ['build', '--release', '--package', 'adasum-node', ...targetArgs], root)
}

/**
 * @param {string} root
 * @param {Say} say
 */
async function buildAddon(root, say) {
  say('napi build: the native addon')
  const stamp = beginStamp(root, 'native', addonFingerprint(root))
  const cli = join(root, 'node_modules', '@napi-rs', 'cli', 'dist', 'cli.js')
  const where = [
    '--package',
    'adasum-node',
    '--manifest-path',
    'crates/adasum-node/Cargo.toml',
    '--output-dir',
    'native',
  ]
  const files = ['--js', 'index.cjs', '--dts', 'index.d.cts']
  await cargoTool('napi build', process.execPath, [cli, 'build', '--platform', '--release', ...where, ...files], root)
  stamp()
}

/**
 * @param {string} name
 * @param {string} command
 * @param {readonly string[]} args
 * @param {string} root
 */
async function cargoTool(name, command, args, root) {
  const colour = process.stderr.isTTY ? { CARGO_TERM_COLOR: 'always' } : {}
  try {
    await runTool(name, command, args, { cwd: root, env: { ...process.env, ...colour } })
  } catch (error) {
    throw error instanceof ToolError ? explainCargo(error) : error
  }
}

/** @param {string} root */
function wasmFingerprint(root) {
  const names = ['adasum-core', 'adasum-wasm', 'adasum-wasm-error', 'adasum-gpu', 'adasum-gpu-wasm']
  const crates = names.map((name) => `crates/${name}`)
  const libraries = ['wasm-build', 'wasm-sections', 'wasm-tools'].map((name) => `scripts/lib/${name}.mjs`)
  return fingerprint(root, ['Cargo.toml', 'Cargo.lock', '.cargo', ...crates, ...libraries, 'scripts/wasm-bindgen'], {
    skip: ['benches', 'tests', 'target'],
  })
}

/**
 * @param {string} root
 * @param {Say} say
 * @param {(root: string, say: Say) => Promise<void>} [build]
 */
export async function buildWebAssembly(root, say, build = buildWasm) {
  const stamp = beginStamp(root, 'wasm', wasmFingerprint(root))
  await build(root, say)
  stamp()
}

/** @param {string} root */
function browserFingerprint(root) {
  const made = ['simd.wasm', 'plain.wasm', 'glue.js', 'gpu.wasm', 'gpu-glue.js'].map((name) => `wasm/${name}`)
  return fingerprint(root, ['ts/src', 'package.json', 'package-lock.json', 'scripts/lib/wasm-build.mjs', ...made])
}

/**
 * @param {string} root
 * @param {Say} say
 */
async function bundleBrowser(root, say) {
  const stamp = beginStamp(root, 'wasm/browser', browserFingerprint(root))
  await bundleForBrowsers(root, say)
  stamp()
}

/** @param {string} root */
function typescriptFingerprint(root) {
  const settings = ['tsconfig.json', 'tsconfig.build.json', 'package.json', 'package-lock.json']
  return fingerprint(root, ['ts/src', ...settings, 'scripts/lib/javascript-bundle.mjs'])
}

/**
 * @param {string} root
 * @param {Say} say
 */
async function compileTypeScript(root, say) {
  say('tsc: types to dist/')
  const stamp = beginStamp(root, 'dist', typescriptFingerprint(root))
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  await runTool('tsc', process.execPath, [tsc, '--project', 'tsconfig.build.json'], { cwd: root })
  removeTypesWithoutSource(root)
  await bundleJavaScript(root, say)
  stamp()
}

/**
 * The compiler leaves the output of a deleted file where it was, and it would go into the package.
 *
 * @param {string} root
 */
function removeTypesWithoutSource(root) {
  for (const file of filesBelow(root, 'dist').filter((file) => file.endsWith('.d.ts'))) {
    const source = file.replace(/^dist\//, 'ts/src/').replace(/\.d\.ts$/, '.ts')
    if (!existsSync(join(root, source))) rmSync(join(root, file))
  }
}

/**
 * @param {string} root
 * @param {string} folder
 * @param {string} hash
 */
function stampIs(root, folder, hash) {
  const path = join(root, folder, '.stamp')
  return existsSync(path) && readFileSync(path, 'utf8') === hash
}

/**
 * @param {string} root
 * @param {string} folder
 * @param {string} hash taken before the build, so that a file saved during it makes the output out of date
 * @returns {() => void} to be called when the output is complete
 */
function beginStamp(root, folder, hash) {
  const path = join(root, folder, '.stamp')
  mkdirSync(join(root, folder), { recursive: true })
  rmSync(path, { force: true })
  return () => writeFileSync(path, hash)
}

/**
 * @param {string} path
 * @returns {{ packages: Record<string, { version: string, integrity?: string, optional?: boolean }> }}
 */
function readJson(path) {
  return JSON.parse(readFileSync(path, 'utf8'))
}
