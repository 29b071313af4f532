// What a machine must have, and the words for what it lacks.

import { ToolError, runTool } from './tool.mjs'

const INSTALL_RUST = 'install Rust from https://rustup.rs, open a new terminal and try again'
const INSTALL_LINKER =
  'install a C compiler, which brings one (Debian, Ubuntu: apt install build-essential; Fedora: dnf install gcc; ' +
  'macOS: xcode-select --install), and try again'

/**
 * @param {string} version of Node.js that runs
 * @param {{ engines: { node: string } }} manifest
 * @returns {string | undefined} what is wrong with it
 */
export function nodeProblem(version, manifest) {
  const needed = /^>=(\d+)\.(\d+)$/.exec(manifest.engines.node)
  if (needed === null) throw new Error(`engines.node must look like ">=20.19", not "${manifest.engines.node}"`)
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [neededMajor, neededMinor] = [Number(needed[1]), Number(needed[2])]
  if (major > neededMajor || (major === neededMajor && minor >= neededMinor)) return undefined
  return `Node.js ${version} is too old: ${neededMajor}.${neededMinor} or newer is needed (https://nodejs.org)`
}

/**
 * Asked before anything long begins, so that a newcomer without Rust hears of it in the first second.
 *
 * @param {string} root
 * @returns {Promise<string>} the target triple that cargo builds for here
 */
export async function requireCargo(root) {
  try {
    const words = await runTool('cargo --version', 'cargo', ['--version', '--verbose'], { cwd: root, quiet: true })
    return /^host: (\S+)$/m.exec(words)?.[1] ?? ''
  } catch (error) {
    if (!(error instanceof ToolError)) throw error
    if (error.missing)
      throw new ToolError(`the native addon needs Rust, and there is no cargo on PATH: ${INSTALL_RUST}`)
    throw new ToolError(`the native addon needs Rust, and ${error.message}: its own words stand above`)
  }
}

/**
 * Adds what to do to a failure of cargo whose own words, though shown, are not plain to a newcomer.
 *
 * @param {ToolError} error
 * @returns {ToolError}
 */
export function explainCargo(error) {
  const linker = /linker `([^`]+)` not found/.exec(error.output)
  if (linker !== null) {
    return new ToolError(`Rust is there, but its linker is not: there is no ${linker[1]} on PATH; ${INSTALL_LINKER}`)
  }
  if (/requires rustc [\d.]+|rustc [\d.]+ is not supported/.test(error.output)) {
    return new ToolError(`${error.message}: Rust is too old for this project; run: rustup update stable`)
  }
  return error
}
