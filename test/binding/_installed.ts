/** The package as users have it, with and without an addon, and with addons and modules that tell what they are asked. */
import { cpSync, mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import { execa } from 'execa'
import { ROOT, folderWith } from '../_user-folder.ts'

/** The package as it is installed, with what `addon` puts into its folder native/. */
export function installed(t: ExecutionContext, addon: (folder: string) => void): string {
  const folder = folderWith(t, {})
  const home = join(folder, 'node_modules', 'adasum')
  for (const name of ['package.json', 'bin', 'dist', 'wasm'])
    cpSync(join(ROOT, name), join(home, name), { recursive: true })
  cpSync(join(ROOT, 'node_modules', 'commander'), join(folder, 'node_modules', 'commander'), { recursive: true })
  mkdirSync(join(home, 'native'))
  addon(join(home, 'native'))
  return folder
}

export const none = (): void => undefined
export const working = (folder: string): void => cpSync(join(ROOT, 'native'), folder, { recursive: true })
/** The loader, and files of the right names with something else in them. */
export function corrupt(folder: string): void {
  for (const name of readdirSync(join(ROOT, 'native'))) {
    if (name.endsWith('.node')) writeFileSync(join(folder, name), 'this is no addon')
    else cpSync(join(ROOT, 'native', name), join(folder, name))
  }
}

export interface Outcome {
  exitCode: number | undefined
  stdout: string
  stderr: string
}

export async function run(folder: string, args: readonly string[], env: Record<string, string> = {}): Promise<Outcome> {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(ADASUM_|NODE_OPTIONS|FORCE_COLOR)/.test(name))
  const options = { cwd: folder, reject: false, extendEnv: false, env: { ...Object.fromEntries(inherited), ...env } }
  const { exitCode, stdout, stderr } = await execa(process.execPath, args, options)
  return { exitCode, stdout: String(stdout), stderr: String(stderr) }
}

/**
 * Makes the installed addon and the installed module count the kernels that they are asked for. Where they have been
 * loaded, `globalThis.kernelCalls` has a number under `native` or `wasm`.
 */
export function countKernels(folder: string): void {
  const home = join(folder, 'node_modules', 'adasum')
  const counting = (kind: string): string => `
const calls = (globalThis.kernelCalls ??= {})
const count = (call) => (...args) => ((calls.${kind} = (calls.${kind} ?? 0) + 1), call(...args))
const KERNELS = /^(has|reduce|gram|refine|combine|fold|quantize|dequantize|step|orthogonalize)/
const counted = (calls) => Object.fromEntries(
  Object.entries(calls).map(([name, call]) => [name, KERNELS.test(name) ? count(call) : call]),
)
`
  renameSync(join(home, 'native', 'index.cjs'), join(home, 'native', 'uncounted.cjs'))
  const addon = `${counting('native')}module.exports = counted(require('./uncounted.cjs'))\n`
  writeFileSync(join(home, 'native', 'index.cjs'), addon)
  renameSync(join(home, 'wasm', 'glue.cjs'), join(home, 'wasm', 'uncounted.cjs'))
  const glue = `${counting('wasm')}const { createGlue } = require('./uncounted.cjs')
exports.createGlue = () => {
  const glue = createGlue()
  return Object.assign((code) => glue(code), counted(glue))
}
`
  writeFileSync(join(home, 'wasm', 'glue.cjs'), glue)
}

/** Makes the installed addon that of a runtime which forbids memory that is not its own: its buffers are copies. */
export function copyBuffers(folder: string): void {
  const home = join(folder, 'node_modules', 'adasum', 'native')
  renameSync(join(home, 'index.cjs'), join(home, 'uncopied.cjs'))
  const addon = `const { Segment } = (module.exports = require('./uncopied.cjs'))
const { buffer } = Segment.prototype
Segment.prototype.buffer = function () {
  return buffer.call(this).slice(0)
}
`
  writeFileSync(join(home, 'index.cjs'), addon)
}
