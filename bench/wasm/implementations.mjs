// What is compared: the addon, both builds of the WebAssembly module, and the faster one without copies.

import { createHash } from 'node:crypto'
import { slicesOf } from './cases.mjs'

/**
 * @typedef {import('./cases.mjs').Binding} Binding
 * @typedef {import('./cases.mjs').Case} Case
 *
 * @typedef {object} Run
 * @property {() => void} once over all slices
 * @property {() => string} bits of what the last one has written
 *
 * @typedef {object} Implementation
 * @property {string} name
 * @property {string} isa
 * @property {(of: Case, inputs: readonly Uint8Array[]) => Run} prepare
 */

/**
 * @param {number} byteLength of the inputs of a case
 * @returns {Promise<Implementation[]>} the addon first
 */
export async function implementations(byteLength) {
  const { loadCode } = await import('../../ts/src/binding/node-wasm.ts')
  const { wasmBinding } = await import('../../ts/src/binding/wasm.ts')
  const [simd, plain] = [loadCode('simd'), loadCode('plain')]
  return [
    copying('native', await loadNative()),
    copying('simd', wasmBinding(simd)),
    copying('plain', wasmBinding(plain)),
    inPlace('in place', wasmBinding(simd), byteLength),
  ]
}

/** @returns {Promise<Binding>} */
async function loadNative() {
  // The addon reads it when it is first asked for its instruction set.
  process.env['ADASUM_ISA'] ??= process.arch === 'x64' ? 'avx2' : ''
  const { loadBinding } = await import('../../ts/src/binding/native.ts')
  return loadBinding()
}

/** @param {string} name @param {Binding} binding @returns {Implementation} */
function copying(name, binding) {
  const prepare = (/** @type {Case} */ of, /** @type {readonly Uint8Array[]} */ inputs) =>
    run(binding, of, inputs, new Uint8Array(inputs[0]?.length ?? 0))
  return { name, isa: binding.isa(), prepare }
}

/** @param {string} name @param {Binding} binding @param {number} byteLength @returns {Implementation} */
function inPlace(name, binding, byteLength) {
  // Inputs, and a result as long as one of two.
  const memory = binding.allocate?.(byteLength * 1.5)
  if (!memory) throw new Error(`${name} has no memory of its own`)
  const prepare = (/** @type {Case} */ of, /** @type {readonly Uint8Array[]} */ inputs) => {
    let at = 0
    const place = (/** @type {Uint8Array} */ array) => {
      const placed = memory.subarray(at, (at += array.length))
      placed.set(array)
      return placed
    }
    const placed = inputs.map(place)
    return run(binding, of, placed, place(new Uint8Array(inputs[0]?.length ?? 0)))
  }
  return { name, isa: binding.isa(), prepare }
}

/**
 * @param {Binding} binding
 * @param {Case} of
 * @param {readonly Uint8Array[]} inputs
 * @param {Uint8Array} out
 * @returns {Run}
 */
function run(binding, of, inputs, out) {
  const slices = slicesOf(of, inputs, out)
  /** @type {(Float64Array | Uint8Array)[]} */
  let written = []
  return {
    once: () => void (written = slices.map((slice) => of.call(binding, slice))),
    bits: () => {
      const hash = createHash('sha256')
      for (const part of written) hash.update(part)
      return hash.digest('hex')
    },
  }
}
