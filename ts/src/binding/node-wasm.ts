/**
 * WebAssembly in Node.js, from the package's files. It computes where there is no addon for the platform, and under
 * `--no-addons`, which Node's permission model implies. It is compiled when it is first used, synchronously.
 */
import { readFileSync } from 'node:fs'
import { AdasumError } from '../errors.ts'
import type { Binding } from './binding.ts'
import { WASM_MODULE, loadFailure, ownRequire } from './installation.ts'
import type { SharedMemoryBinding } from './shared-memory.ts'
import { type WasmBuild, bestBuild, wasmPlatform } from './wasm-platform.ts'
import { type Glue, type WasmCode, wasmBinding } from './wasm.ts'

/** Which implementation computes: reports name it. */
export interface BindingInUse {
  readonly kind: 'native' | 'wasm'
  /** Why the addon does not compute, unless WebAssembly was asked for: then null. */
  readonly reason: string | null
}

let loaded: Binding | undefined

/**
 * The binding; the same object on every call.
 *
 * @throws AdasumError ERR_BINDING if the module is missing or stale, or ADASUM_BINDING asks for the addon
 */
export function loadBinding(): Binding {
  if (process.env.ADASUM_BINDING === 'native')
    throw new AdasumError(
      'ERR_BINDING',
      'ADASUM_BINDING is native, but this process was started with --no-addons, or with the permission model and without --allow-addons. Unset ADASUM_BINDING, or allow addons.',
    )
  return loadWasm()
}

/** The same as loadBinding, for callers that can wait. */
export async function readyBinding(): Promise<Binding> {
  return loadBinding()
}

/** Whether loadBinding has nothing to wait for. */
export function isReady(): boolean {
  return true
}

export function bindingInUse(): BindingInUse {
  loadBinding()
  return { kind: 'wasm', reason: null }
}

/** @throws AdasumError ERR_UNSUPPORTED, always */
export function loadSharedMemory(): SharedMemoryBinding {
  throw new AdasumError('ERR_UNSUPPORTED', 'WebAssembly computes here, and only the native addon shares memory.')
}

/** The binding over the faster build that this engine can run; the same object on every call. */
export function loadWasm(): Binding {
  loaded ??= wasmBinding(loadCode(bestBuild()))
  return loaded
}

/** Compiles a build. @throws AdasumError ERR_BINDING if it is missing or cannot be compiled */
export function loadCode(build: WasmBuild): WasmCode {
  try {
    const require = ownRequire()
    const { createGlue } = require('#wasm/glue.cjs') as { createGlue: () => Glue }
    return { module: new wasmPlatform.Module(readFileSync(require.resolve(`#wasm/${build}.wasm`))), createGlue }
  } catch (cause) {
    throw loadFailure(WASM_MODULE, cause)
  }
}
