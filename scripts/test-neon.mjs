#!/usr/bin/env node
// The core's tests on NEON. On a 64-bit Arm machine they just run; elsewhere they are built for one and run under QEMU.
// Debian's packages give what is missing: a linker and an emulator are installed (which takes root), and a compiler with
// a standard library for both machines is unpacked into .tools/, unless rustup has the target already.
// `npm run test:neon` runs it; the last line counts.

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { installPackages, works } from './lib/debian.mjs'
import { readCargo, summaryLine } from './lib/results.mjs'
import { runSuite } from './lib/suite.mjs'

const TARGET = 'aarch64-unknown-linux-gnu'
/** The tests in which an instruction set shows: the conversions, the golden hashes, the identities, the optimizers' kernels. */
const TESTS = ['half', 'golden', 'identities', 'threads', 'step', 'orthogonalize']

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const tools = join(root, '.tools', 'neon')

/** @param {string} command @param {string[]} args @param {string} [cwd] */
function run(command, args, cwd = root) {
  return execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
}

const hasEmulator = () => works('qemu-aarch64-static', ['--version']) && works('aarch64-linux-gnu-gcc', ['--version'])

/** What a package needs directly, of those whose names match. @param {string} name @param {RegExp} pattern */
function needs(name, pattern) {
  const lines = run('apt-cache', ['depends', name]).split('\n')
  return lines.map((line) => /Depends: (\S+)/.exec(line)?.[1] ?? '').filter((found) => pattern.test(found))
}

/** @returns {NodeJS.ProcessEnv} that makes cargo use the unpacked compiler */
function unpackCompiler() {
  const usr = join(tools, 'usr')
  if (!existsSync(join(usr, 'bin', 'rustc'))) {
    mkdirSync(tools, { recursive: true })
    run('dpkg', ['--add-architecture', 'arm64'])
    run('apt-get', ['update', '--quiet'])
    const [library = ''] = needs('libstd-rust-web-dev', /^libstd-rust-web-\d/)
    const [llvm = ''] = needs(library, /^libllvm\d/)
    const names = ['rustc-web', 'libstd-rust-web-dev', 'libstd-rust-web-dev:arm64', library, llvm]
    run('apt-get', ['download', '--quiet', ...names], tools)
    for (const file of readdirSync(tools).filter((name) => name.endsWith('.deb'))) run('dpkg', ['-x', file, '.'], tools)
  }
  return { RUSTC: join(usr, 'bin', 'rustc'), LD_LIBRARY_PATH: join(usr, 'lib', 'x86_64-linux-gnu') }
}

/** @returns {NodeJS.ProcessEnv} */
function crossEnvironment() {
  installPackages(['gcc-aarch64-linux-gnu', 'libc6-dev-arm64-cross', 'qemu-user-static'], hasEmulator)
  const hasTarget = works('rustup', ['target', 'add', TARGET])
  return {
    ...(hasTarget ? {} : unpackCompiler()),
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER: 'aarch64-linux-gnu-gcc',
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER: 'qemu-aarch64-static -L /usr/aarch64-linux-gnu',
    // Two compilers in one folder would take turns in throwing the other's work away.
    CARGO_TARGET_DIR: join(root, 'target', 'neon'),
  }
}

const isArm = process.arch === 'arm64'
const env = { ADASUM_REQUIRE_ISA: 'neon', ...(isArm ? {} : crossEnvironment()) }
const target = isArm ? [] : ['--target', TARGET]
const args = ['test', '--package', 'adasum-core', ...target, '--test', 'all', '--', ...TESTS.map((name) => `${name}::`)]
const counts = await runSuite({ name: 'neon', command: 'cargo', args, read: readCargo, limitMinutes: 30, env }, root)
for (const note of counts.notes) console.log(note)
console.log(summaryLine(counts))
if (counts.failed > 0) process.exitCode = 1
