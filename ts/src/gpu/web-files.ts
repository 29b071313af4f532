/**
 * The URL of the module for a browser's GPU: `../../wasm` is the same folder from this file in dist/ and from the
 * bundle in wasm/browser/. Bundlers recognise this expression and copy the file along. In the inline form a file with
 * the bytes replaces this one.
 */
import { fetchBytes } from '../binding/fetch-bytes.ts'

/** The bytes of the module. @throws AdasumError ERR_BINDING if they are not where they should be */
export function gpuWasmBytes(): Promise<Uint8Array> {
  return fetchBytes(new URL('../../wasm/gpu.wasm', import.meta.url), 'adasum/gpu-inline')
}
