#!/usr/bin/env node
// Adasum on GPUs: the shaders on every Vulkan driver that this machine has or Debian's packages give (lavapipe, and Chromium's
// SwiftShader), the addon over them, and the benchmark's lines. A GPU of the machine's own is tested with them. Installing
// takes root. `npm run test:gpu` runs it, with `-- --driver llvmpipe` on that one alone; nothing is skipped; the last line counts.

import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { installPackages } from './lib/debian.mjs'
import { buildGpuPackage, gpuCargoOptions } from './lib/gpu-package.mjs'
import { requireCargo } from './lib/requirements.mjs'
import { readAva, readCargo, sum, summaryLine } from './lib/results.mjs'
import { runSuite } from './lib/suite.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const { values } = parseArgs({ options: { driver: { type: 'string' } } })

const ICDS = '/usr/share/vulkan/icd.d'
/** Where browsers that bring SwiftShader have its file. */
const SWIFTSHADER = ['/usr/lib/chromium', '/opt/google/chrome'].map((folder) => `${folder}/vk_swiftshader_icd.json`)

/** Files of drivers, by the part of the adapter's name that tells them apart. */
function softwareDrivers() {
  if (process.platform !== 'linux') return {}
  const lavapipe = () => (existsSync(ICDS) ? readdirSync(ICDS) : []).find((name) => name.startsWith('lvp_icd'))
  const swiftshader = () => SWIFTSHADER.find((path) => existsSync(path))
  installPackages(['libvulkan1', 'mesa-vulkan-drivers'], () => lavapipe() !== undefined)
  installPackages(['chromium'], () => swiftshader() !== undefined)
  // If a driver is still missing, its suite fails for want of an adapter.
  return { llvmpipe: join(ICDS, lavapipe() ?? 'missing'), swiftshader: swiftshader() ?? 'missing' }
}

/** @param {Record<string, string>} drivers @returns {Record<string, string>} */
function chosen(drivers) {
  const { driver } = values
  if (driver === undefined) return drivers
  const file = drivers[driver]
  if (file === undefined) throw new Error(`there is no driver ${driver}; there are ${Object.keys(drivers).join(', ')}`)
  return { [driver]: file }
}

const CARGO = gpuCargoOptions(await requireCargo(root))

/** A check counts only if it fails. @param {string} name @param {boolean} isGood */
function check(name, isGood) {
  if (!isGood) console.log(`${name} failed`)
  return { passed: 0, failed: isGood ? 0 : 1, skipped: 0, notes: [] }
}

function clippy() {
  console.log('\n--- clippy with the graphics library')
  const args = ['clippy', '--quiet', '--all-targets', ...CARGO, '--', '--deny=warnings']
  const { status } = spawnSync('cargo', args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })
  return check('clippy', status === 0)
}

const KEYS = ['adapter', 'kernel', 'k', 'dtype', 'bytes', 'gbps', 'copyGbps', 'ratio', 'maxRelativeError']
/** @type {Record<string, number>} */
const LARGEST_ERRORS = { f32: 2 ** -23, f16: 2 ** -10, bf16: 2 ** -7 }
/** The largest error of dot products, relative to the norms. */
const LARGEST_GRAM_ERROR = 1e-12

const LAUNCH_KEYS = 'adapter,case,k,dtype,bytes,reduceUs,kernelsUs,overheadUs,emptyUs'
const CROSSOVER_KEYS = 'adapter,case,k,dtype,bytes,residentUs,uploadedUs,cpuUs,fastest'

/** The lines of the benchmark's program, on short vectors. @param {NodeJS.ProcessEnv} env @param {string[]} options */
function linesOfBench(env, ...options) {
  console.log(`\n--- bench:gpu ${options.join(' ')}`)
  const args = ['bench', '--quiet', ...CARGO, '--bench', 'gpu', '--', '--json', '--quick', ...options]
  const { status, stdout } = spawnSync('cargo', args, {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...env },
  })
  return { status, lines: stdout.split('\n').filter((line) => line.startsWith('{')) }
}

/** @param {NodeJS.ProcessEnv} env */
function crossover(env) {
  const { status, lines } = linesOfBench(env, '--crossover')
  const [launch, ...lengths] = lines.map((line) => JSON.parse(line))
  const isGood =
    `${Object.keys(launch ?? {})}` === LAUNCH_KEYS &&
    lengths.length === 2 &&
    lengths.every((figures) => `${Object.keys(figures)}` === CROSSOVER_KEYS && figures.cpuUs > 0)
  if (!isGood) console.log(lines.join('\n'))
  return check('bench:gpu --crossover', status === 0 && isGood)
}

/** @param {NodeJS.ProcessEnv} env */
function figures(env) {
  const { status, lines } = linesOfBench(env)
  const isGood = (/** @type {string} */ line) => {
    const { kernel, dtype, maxRelativeError, ...others } = JSON.parse(line)
    const largest = kernel === 'gram' ? LARGEST_GRAM_ERROR : (LARGEST_ERRORS[dtype] ?? 0)
    return (
      Object.keys(others).length === KEYS.length - 3 &&
      KEYS.every((key) => line.includes(`"${key}":`)) &&
      maxRelativeError <= largest
    )
  }
  const bad = lines.filter((line) => !isGood(line))
  for (const line of bad) console.log(line)
  return check('bench:gpu', status === 0 && lines.length === 4 * 3 * 5 && bad.length === 0)
}

/** What needs no device: plans, the shaders' translation, and their twins on the CPU. */
function withoutDevice() {
  const args = ['test', ...CARGO, '--lib', '--test', 'all']
  return runSuite({ name: 'plans and shaders', command: 'cargo', args, read: readCargo, limitMinutes: 30 }, root)
}

/** @param {string} name @param {NodeJS.ProcessEnv} env */
async function suites(name, env) {
  const cargo = ['test', ...CARGO, '--test', 'device']
  const ava = [join(root, 'node_modules', 'ava', 'entrypoints', 'cli.mjs'), 'test/gpu']
  return [
    await runSuite(
      { name: `shaders on ${name}`, command: 'cargo', args: cargo, read: readCargo, limitMinutes: 30, env },
      root,
    ),
    await runSuite(
      { name: `addon on ${name}`, command: process.execPath, args: ava, read: readAva, limitMinutes: 15, env },
      root,
    ),
  ]
}

const drivers = chosen(softwareDrivers())
await buildGpuPackage(root)
/** @type {import('./lib/results.mjs').Counts[]} */
const results = [clippy(), await withoutDevice()]
// Without the folder Mesa complains of it on stderr.
const REQUIRED = { ADASUM_REQUIRE_GPU: '1', XDG_RUNTIME_DIR: process.env['XDG_RUNTIME_DIR'] ?? tmpdir() }
for (const [name, file] of Object.entries(drivers)) {
  // The loader knows the variable by two names, of which old ones know the second only.
  const env = { ...REQUIRED, ADASUM_GPU_ADAPTER: name, VK_DRIVER_FILES: file, VK_ICD_FILENAMES: file }
  results.push(...(await suites(name, env)))
}
if (Object.keys(drivers).length === 0) results.push(...(await suites('this machine', REQUIRED)))
const [file] = Object.values(drivers)
const first = { ...REQUIRED, ...(file !== undefined && { VK_DRIVER_FILES: file, VK_ICD_FILENAMES: file }) }
results.push(figures(first), crossover(first))
const total = sum(results)
console.log('')
for (const note of total.notes) console.log(note)
console.log(summaryLine(total))
if (total.failed > 0) process.exitCode = 1
