/**
 * The binding of Node.js: the native addon, or WebAssembly, which gives the same bits, where the package has no addon
 * for the platform. ADASUM_BINDING, `native` or `wasm`, forces one of them. An addon that is there and does not work is
 * an error: the user should learn that something is broken.
 */
import { emitWarning } from '#platform'
import { AdasumError } from '../errors.ts'
import type { Binding } from './binding.ts'
import { isMissing } from './installation.ts'
import { loadBinding as loadNative } from './native.ts'
import { loadNativeSharedMemory } from './native-shared-memory.ts'
import { type BindingInUse, loadSharedMemory as refuseSharedMemory, loadWasm } from './node-wasm.ts'
import type { SharedMemoryBinding } from './shared-memory.ts'

let loaded: { readonly binding: Binding; readonly inUse: BindingInUse } | undefined

/**
 * The binding; the same object on every call. Warns once if it is not the addon and nobody has asked for that.
 *
 * @throws AdasumError ERR_BINDING if none can be loaded, ERR_ENVIRONMENT if ADASUM_BINDING or ADASUM_ISA names none
 *   that there is
 */
export function loadBinding(): Binding {
  loaded ??= choose(process.env.ADASUM_BINDING ?? '')
  return loaded.binding
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
  return loaded!.inUse
}

/**
 * The binding of shared memory, which is the addon's. Where WebAssembly was asked for, the addon is not loaded for this
 * either.
 *
 * @throws AdasumError ERR_UNSUPPORTED where WebAssembly computes, or the addon knows of no shared memory
 */
export function loadSharedMemory(): SharedMemoryBinding {
  return bindingInUse().kind === 'native' ? loadNativeSharedMemory() : refuseSharedMemory()
}

function choose(forced: string): NonNullable<typeof loaded> {
  if (forced === 'wasm') return { binding: loadWasm(), inUse: { kind: 'wasm', reason: null } }
  if (forced !== 'native' && forced !== '')
    throw new AdasumError('ERR_ENVIRONMENT', `ADASUM_BINDING is "${forced}": use native or wasm, or unset it.`)
  try {
    return { binding: loadNative(), inUse: { kind: 'native', reason: null } }
  } catch (error) {
    if (forced === 'native' || !isMissing(error)) throw error
    return fallBack(error as AdasumError)
  }
}

function fallBack(error: AdasumError): NonNullable<typeof loaded> {
  const reason = error.message
  let binding: Binding
  try {
    binding = loadWasm()
  } catch {
    // The addon should have been there, so its absence is the error to report.
    throw error
  }
  emitWarning(`WebAssembly computes, to the same bits but more slowly. ${reason}`, 'ADASUM_WASM')
  return { binding, inUse: { kind: 'wasm', reason } }
}
