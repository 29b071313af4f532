// What a build for WebAssembly needs beyond cargo: the target's standard library, and wasm-bindgen's tool.
//
// The target comes from rustup. Where rustup is missing, or has no network, Debian's compiler builds the standard library
// from its sources: its packages are unpacked into .tools/, in the versions that apt resolves and after apt has checked
// them, and nothing is installed.

import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ToolError, runTool } from './tool.mjs'

export const WASM_TARGET = 'wasm32-unknown-unknown'

/** Rustup gives up sooner when there is no network at all; this is for one that swallows everything. */
const RUSTUP_LIMIT_MS = 90_000

/**
 * @typedef {object} Toolchain
 * @property {readonly string[]} args for cargo build
 * @property {NodeJS.ProcessEnv} env on top of the process's own
 *
 * @typedef {(text: string) => void} Say
 */

/**
 * @param {string} root
 * @param {Say} say
 * @returns {Promise<Toolchain>}
 */
export async function wasmToolchain(root, say) {
  if (await hasTarget(root)) return { args: [], env: {} }
  say(`rustup target add ${WASM_TARGET}`)
  const options = { cwd: root, quiet: true, limitMs: RUSTUP_LIMIT_MS }
  const isAdded = await succeeds(runTool('rustup', 'rustup', ['target', 'add', WASM_TARGET], options))
  if (isAdded && (await hasTarget(root))) return { args: [], env: {} }
  return debianToolchain(root, say)
}

/** @param {string} root */
async function hasTarget(root) {
  const args = ['--print', 'target-libdir', '--target', WASM_TARGET]
  const folder = await runTool('rustc', 'rustc', args, { cwd: root, quiet: true }).catch(() => '')
  return existsSync(folder.trim()) && readdirSync(folder.trim()).some((name) => name.startsWith('libstd-'))
}

/** @param {Promise<unknown>} work */
async function succeeds(work) {
  try {
    await work
    return true
  } catch (error) {
    if (error instanceof ToolError) return false
    throw error
  }
}

/**
 * @param {string} root
 * @param {Say} say
 * @returns {Promise<Toolchain>}
 */
async function debianToolchain(root, say) {
  const folder = join(root, '.tools', 'wasm-rust')
  const complete = join(folder, '.complete')
  if (!existsSync(complete)) {
    say(`no network for rustup: Debian's compiler, unpacked into .tools/wasm-rust`)
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { recursive: true })
    await unpackCompiler(folder)
    writeFileSync(complete, '')
  }
  const usr = join(folder, 'usr')
  const llvm = readdirSync(join(usr, 'lib')).find((name) => /^llvm-\d+$/.test(name)) ?? ''
  const libraries = [join(usr, 'lib', multiarch()), join(usr, 'lib', llvm, 'lib')].join(':')
  return {
    args: ['-Zbuild-std=std,panic_abort'],
    env: {
      RUSTC: join(usr, 'bin', 'rustc'),
      // Building the standard library is not stable; the code that it is linked with is ordinary.
      RUSTC_BOOTSTRAP: '1',
      LD_LIBRARY_PATH: libraries,
      CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER: join(usr, 'lib', llvm, 'bin', 'wasm-ld'),
    },
  }
}

function multiarch() {
  return process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu'
}

/**
 * The compiler, the standard library for this machine (for macros) and its sources, and the linker of the same LLVM.
 *
 * @param {string} folder
 */
async function unpackCompiler(folder) {
  const run = (/** @type {string} */ command, /** @type {string[]} */ ...args) =>
    runTool(command, command, args, { cwd: folder, quiet: true }).catch((error) => {
      throw new ToolError(
        `a build for WebAssembly needs Rust's target ${WASM_TARGET} (rustup target add ${WASM_TARGET}) or Debian's packages, ` +
          `but ${error instanceof Error ? error.message : error}`,
      )
    })
  /** What a package needs directly, of those whose names match. @param {string} name @param {RegExp} pattern */
  const needs = async (name, pattern) => {
    const words = (await run('apt-cache', 'depends', name)).split(/\s+/)
    const found = words.find((word) => pattern.test(word))
    if (found === undefined) throw new ToolError(`Debian's package ${name} needs none like ${pattern}`)
    return found
  }
  await run('apt-get', 'update', '--quiet')
  const library = await needs('libstd-rust-web-dev', /^libstd-rust-web-\d/)
  const llvm = await needs(library, /^libllvm\d/)
  const linker = `lld-${/^libllvm(\d+)/.exec(llvm)?.[1]}`
  const names = ['rustc-web', 'libstd-rust-web-dev', library, 'rust-web-src', llvm, linker, `lib${linker}`]
  await run('apt-get', 'download', '--quiet', ...names)
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.deb'))) {
    await run('dpkg', '-x', file, '.')
    rmSync(join(folder, file))
  }
  linkSources(join(folder, 'usr'))
}

/** Where rustc looks for its sources there is a link to where they would have been installed. @param {string} usr */
function linkSources(usr) {
  const sources = readdirSync(join(usr, 'src')).find((name) => name.startsWith('rustc-'))
  if (sources === undefined) throw new ToolError(`${usr}/src has no sources of Rust's standard library`)
  const link = join(usr, 'lib', 'rustlib', 'src', 'rust')
  rmSync(link, { force: true })
  mkdirSync(join(link, '..'), { recursive: true })
  symlinkSync(join(usr, 'src', sources), link)
}

/**
 * wasm-bindgen's tool, which must be of the very version of the crate: the two talk in a format of their own. It is compiled
 * from scripts/wasm-bindgen, which has what the builds need of the original; cargo knows when it is out of date.
 *
 * @param {string} root
 * @param {Say} say
 * @returns {Promise<string>} its path
 */
export async function wasmBindgen(root, say) {
  say('cargo build: the tool wasm-bindgen')
  const folder = join(root, '.tools', 'wasm-bindgen')
  const manifest = join(root, 'scripts', 'wasm-bindgen', 'Cargo.toml')
  const args = ['build', '--quiet', '--locked', '--manifest-path', manifest, '--target-dir', folder]
  const env = { ...process.env }
  // With a target, even this machine's own, the program would lie elsewhere.
  delete env['CARGO_BUILD_TARGET']
  await runTool('cargo build', 'cargo', args, { cwd: root, env })
  const tool = join(folder, 'debug', 'wasm-bindgen')
  const needed = lockedVersion(readFileSync(join(root, 'Cargo.lock'), 'utf8'), 'wasm-bindgen')
  const found = await versionOf(tool, root)
  if (found === needed) return tool
  throw new ToolError(
    `wasm-bindgen's tool is version ${found ?? 'unknown'}, the crate in Cargo.lock is ${needed}; they must be equal: ` +
      `name ${needed} in scripts/wasm-bindgen/Cargo.toml, and run cargo update in that folder`,
  )
}

/**
 * @param {string} lock text of Cargo.lock
 * @param {string} name of a package that it has
 */
export function lockedVersion(lock, name) {
  const version = new RegExp(`^name = "${name}"\nversion = "([^"]+)"$`, 'm').exec(lock)?.[1]
  if (version === undefined) throw new ToolError(`Cargo.lock has no package ${name}: run cargo update --workspace`)
  return version
}

/**
 * @param {string} path of a tool
 * @param {string} cwd
 * @returns {Promise<string | undefined>} the version that it says it is; undefined: there is none
 */
export async function versionOf(path, cwd) {
  const words = await runTool(path, path, ['--version'], { cwd, quiet: true }).catch(() => '')
  return /^wasm-\w+ (\S+)/.exec(words)?.[1]
}
