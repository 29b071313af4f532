/**
 * Where the module for a browser's GPU lies: beside the bundle that the package is there, and beside dist/. Bundlers find the
 * file by this expression and carry it along. The inline form has its bytes in place of this file.
 */
import { fetchBytes } from '../binding/fetch-bytes.ts'

/** The bytes of the module. @throws AdasumError ERR_BINDING if they are not where they should be */
export function gpuWasmBytes(): Promise<Uint8Array> {
  return fetchBytes(new URL('../../wasm/gpu.wasm', import.meta.url), 'adasum/gpu-inline')
}
