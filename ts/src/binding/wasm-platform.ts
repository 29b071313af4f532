/** The types of WebAssembly that this package uses: no library of types has them for both Node.js and browsers. */
interface WasmPlatform {
  readonly Module: new (bytes: Uint8Array) => object
  readonly compile: (bytes: Uint8Array) => Promise<object>
  readonly validate: (bytes: Uint8Array) => boolean
}

export const wasmPlatform: WasmPlatform = (globalThis as unknown as { WebAssembly: WasmPlatform }).WebAssembly

/** The two builds: with simd128, and for engines without it. */
export type WasmBuild = 'simd' | 'plain'

/** A module with one function, which returns a v128: i32.const 0, i8x16.splat, i8x16.popcnt. */
const SIMD_MODULE = Uint8Array.of(
  ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
  ...[0x01, 0x05, 0x01, 0x60, 0x00, 0x01, 0x7b],
  ...[0x03, 0x02, 0x01, 0x00],
  ...[0x0a, 0x0a, 0x01, 0x08, 0x00, 0x41, 0x00, 0xfd, 0x0f, 0xfd, 0x62, 0x0b],
)

/** The faster build of those that this engine can run. */
export function bestBuild(): WasmBuild {
  return wasmPlatform.validate(SIMD_MODULE) ? 'simd' : 'plain'
}
