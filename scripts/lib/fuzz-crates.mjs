// Targets of fuzzing in the crates, as programs of libFuzzer with AddressSanitizer. cargo-fuzz does the same with a nightly
// toolchain; all that it takes is here: flags of the compiler that is there anyway, and the runtime that comes with it.

import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { installPackages, works } from './debian.mjs'
import { ToolError, runTool } from './tool.mjs'

/** By how many inputs they get beside the others, and the bytes of the longest. @type {Record<string, [number, number]>} */
const TARGETS = { core: [2, 96], 'gpu-plan': [10, 192] }
const PACKAGE = 'adasum-fuzz'
const PROFILE = 'fuzz'
/** A plan of so much memory is refused long before. */
const MOST_MEMORY_MB = 2048
const LIMIT_SECONDS = 60

const COUNTERS = ['inline-8bit-counters', 'pc-table', 'trace-compares']
const FLAGS = [
  '-Cpasses=sancov-module',
  '-Cllvm-args=-sanitizer-coverage-level=4',
  ...COUNTERS.map((name) => `-Cllvm-args=-sanitizer-coverage-${name}`),
  '-Zsanitizer=address',
  '--cfg=fuzzing',
]

/**
 * @param {string} root
 * @param {(text: string) => void} say
 * @param {string | undefined} only the only target that is wanted
 * @returns {Promise<{ targets: import('../fuzz.mjs').FuzzTarget[], missing?: string }>} `missing`: why there are none
 */
export async function crateTargets(root, say, only) {
  if (only !== undefined && !(only in TARGETS)) return { targets: [] }
  try {
    const folder = await build(root, say)
    const targets = Object.entries(TARGETS).map(([name, [share, largest]]) => ({
      ...{ name, share },
      run: (/** @type {number} */ inputs, /** @type {number} */ seed, /** @type {boolean} */ keeps) =>
        fuzz(root, join(folder, name), { name, largest, inputs, seed, keeps }),
    }))
    return { targets }
  } catch (error) {
    if (!(error instanceof ToolError)) throw error
    return { targets: [], missing: error.message }
  }
}

/**
 * @param {string} root
 * @param {(text: string) => void} say
 * @returns {Promise<string>} the folder of the programs
 */
async function build(root, say) {
  if (process.platform === 'win32') throw new ToolError('libFuzzer and AddressSanitizer are not used on Windows')
  const hasCompiler = () => works('c++', ['--version'])
  if (process.platform === 'linux') installPackages(['g++'], hasCompiler)
  if (!hasCompiler()) throw new ToolError('there is no c++, with which libFuzzer is compiled')
  const host = /^host: (.+)$/m.exec(await runTool('rustc', 'rustc', ['-vV'], { cwd: root, quiet: true }))?.[1] ?? ''
  const target = join(root, '.tools', 'fuzz', 'target')
  // Sanitizers are not stable as an option; their runtime comes with every compiler.
  const env = { ...process.env, RUSTC_BOOTSTRAP: '1', CARGO_TARGET_DIR: target, RUSTFLAGS: FLAGS.join(' ') }
  const args = ['build', '--locked', `--profile=${PROFILE}`, `--package=${PACKAGE}`, '--features=libfuzzer']
  say("cargo build: the crates' targets")
  await runTool('cargo build', 'cargo', [...args, `--target=${host}`], { cwd: root, env, quiet: true })
  return join(target, host, PROFILE)
}

/**
 * @param {string} root
 * @param {string} program
 * @param {{ name: string, largest: number, inputs: number, seed: number, keeps: boolean }} options
 * @returns {Promise<import('../fuzz.mjs').Outcome>}
 */
async function fuzz(root, program, { name, largest, inputs, seed, keeps }) {
  const folder = mkdtempSync(join(tmpdir(), 'adasum-fuzz-'))
  const corpus = join(root, 'test', 'fuzz', 'corpus', name)
  // What is found goes into the first folder.
  const fresh = keeps ? corpus : join(folder, 'fresh')
  for (const path of [fresh, corpus]) mkdirSync(path, { recursive: true })
  const limits = [`-runs=${inputs}`, `-seed=${seed}`, `-max_len=${largest}`, `-timeout=${LIMIT_SECONDS}`]
  const more = [
    `-rss_limit_mb=${MOST_MEMORY_MB}`,
    `-artifact_prefix=${folder}/`,
    '-detect_leaks=0',
    '-print_final_stats=1',
  ]
  try {
    const output = await runTool(name, program, [...limits, ...more, fresh, corpus], { cwd: root, quiet: true })
    return { inputs: numberIn(output, 'number_of_executed_units'), faults: [], words: coverageIn(output) }
  } catch (error) {
    if (!(error instanceof ToolError) || error.missing) throw error
    const input = readdirSync(folder).find((file) => /^(crash|oom|timeout|leak)-/.test(file))
    const faults = [
      {
        fault: /(?:panicked at|ERROR: ).*(?:\n.*)?/.exec(error.output)?.[0] ?? error.message,
        ...(input !== undefined && { input: readFileSync(join(folder, input)).toString('base64') }),
      },
    ]
    return { inputs: numberIn(error.output, 'number_of_executed_units'), faults, words: 'and then ended' }
  } finally {
    if (existsSync(folder)) rmSync(folder, { recursive: true })
  }
}

/** @param {string} output @param {string} name */
const numberIn = (output, name) => Number(new RegExp(`^stat::${name}: *(\\d+)`, 'm').exec(output)?.[1] ?? 0)

/** @param {string} output */
function coverageIn(output) {
  const [, edges, features, kept] = [...output.matchAll(/cov: (\d+) ft: (\d+) corp: (\d+)/g)].at(-1) ?? []
  return `${kept} ways kept, ${edges} edges and ${features} features run`
}
