/**
 * Where the builds lie, for browsers: beside the bundle that the package is there, and beside dist/. Bundlers find the files
 * by these expressions and carry them along. `adasum/wasm-inline` has their bytes in place of this file.
 */
import { fetchBytes } from './fetch-bytes.ts'
import type { WasmBuild } from './wasm-platform.ts'

/** The bytes of a build. @throws AdasumError ERR_BINDING if they are not where they should be */
export function wasmBytes(build: WasmBuild): Promise<Uint8Array> {
  const url =
    build === 'simd'
      ? new URL('../../wasm/simd.wasm', import.meta.url)
      : new URL('../../wasm/plain.wasm', import.meta.url)
  return fetchBytes(url, 'adasum/wasm-inline')
}
