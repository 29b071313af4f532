/**
 * WebAssembly in a browser's page or worker. The first call that can wait fetches and compiles the module. So an import
 * costs nothing, and a program that never reduces never loads it.
 */
import { createGlue } from '#wasm/glue.js'
import { AdasumError, reasonOf } from '../errors.ts'
import type { Binding } from './binding.ts'
import { wasmBytes } from './wasm-files.ts'
import { bestBuild, wasmPlatform } from './wasm-platform.ts'
import { instantiate, wasmBinding } from './wasm.ts'

let loaded: Binding | undefined
let loading: Promise<Binding> | undefined

/**
 * The binding, if it has been loaded.
 *
 * @throws AdasumError ERR_NOT_READY if it has not
 */
export function loadBinding(): Binding {
  if (loaded) return loaded
  throw new AdasumError(
    'ERR_NOT_READY',
    'The WebAssembly module is loaded by the first adasum(), sum() or average(): await one before a synchronous form.',
  )
}

/** Whether loadBinding has nothing to wait for. */
export function isReady(): boolean {
  return loaded !== undefined
}

/**
 * Loads the binding, once; after a failure the next call tries again.
 *
 * @throws AdasumError ERR_BINDING if the module cannot be fetched or compiled
 */
export function readyBinding(): Promise<Binding> {
  loading ??= load().catch((error: unknown) => {
    loading = undefined
    throw error
  })
  return loading
}

async function load(): Promise<Binding> {
  const build = bestBuild()
  const bytes = await wasmBytes(build)
  try {
    const code = { module: await wasmPlatform.compile(bytes), createGlue }
    loaded = wasmBinding(code, await instantiate(code))
    return loaded
  } catch (cause) {
    if (cause instanceof AdasumError) throw cause
    const reason = reasonOf(cause)
    throw new AdasumError(
      'ERR_BINDING',
      `The WebAssembly module (${build}, ${bytes.length} bytes) cannot be started (${reason}). See that the server sends the file as it is, and that the page's content security policy allows 'wasm-unsafe-eval'.`,
      { cause },
    )
  }
}
