/**
 * Where the builds lie, for browsers: beside the bundle that the package is there, and beside dist/. Bundlers find the files
 * by these expressions and carry them along. `adasum/wasm-inline` has their bytes in place of this file.
 */
import { AdasumError } from '../errors.ts'
import type { WasmBuild } from './wasm-platform.ts'

/** The bytes of a build. @throws AdasumError ERR_BINDING if they are not where they should be */
export async function wasmBytes(build: WasmBuild): Promise<Uint8Array> {
  const url =
    build === 'simd'
      ? new URL('../../wasm/simd.wasm', import.meta.url)
      : new URL('../../wasm/plain.wasm', import.meta.url)
  let reason: string
  let cause: unknown
  try {
    const answer = await fetch(url)
    if (answer.ok) return new Uint8Array(await answer.arrayBuffer())
    reason = `status ${answer.status}`
  } catch (error) {
    cause = error
    reason = error instanceof Error ? error.message : String(error)
  }
  throw new AdasumError(
    'ERR_BINDING',
    `${url.href} cannot be loaded (${reason}). Serve this file of the package there, or import 'adasum/wasm-inline', which has it inside.`,
    { cause },
  )
}
