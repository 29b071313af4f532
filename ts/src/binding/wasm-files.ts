/**
 * The URLs of the builds, for browsers: `../../wasm` is the same folder from this file in dist/ and from the bundle in
 * wasm/browser/. Bundlers recognise these expressions and copy the files along. In `adasum/wasm-inline` a file with the
 * bytes replaces this one.
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
