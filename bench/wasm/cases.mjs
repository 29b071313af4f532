// What is measured: kernels, numbers of inputs, dtypes.

import { DTYPE_CODES, OP_CODES } from '../../ts/src/binding/binding.ts'
import { chunkElementCount } from '../../ts/src/kernels/slice.ts'

/**
 * @typedef {import('../../ts/src/binding/binding.ts').Binding} Binding
 * @typedef {keyof typeof DTYPE_CODES} Dtype
 *
 * @typedef {object} Slice
 * @property {Uint8Array[]} inputs
 * @property {Uint8Array} out
 * @property {number} elementCount
 *
 * @typedef {object} Case
 * @property {string} name
 * @property {number} k inputs
 * @property {Dtype} dtype
 * @property {(binding: Binding, slice: Slice) => Float64Array | Uint8Array} call on one slice; returns what it has written
 * @property {(byteLength: number) => number} movedBytes by the kernel, for so many bytes of inputs
 */

/** @type {Record<Dtype, number>} */
export const ELEMENT_BYTES = { f32: 4, f64: 8, f16: 2, bf16: 2 }

/** @type {Record<string, (k: number, dtype: Dtype) => Pick<Case, 'call' | 'movedBytes'>>} */
const KERNELS = {
  gram: (k, dtype) => ({
    call: (binding, { inputs, elementCount }) => {
      const nodes = new Float64Array((k * (k + 1)) / 2)
      binding.gram(DTYPE_CODES[dtype], inputs, Float64Array.of(elementCount, 0, elementCount), nodes)
      return nodes
    },
    movedBytes: (byteLength) => byteLength,
  }),
  combine: (k, dtype) => {
    const coefficients = Float64Array.from({ length: k }, (_, i) => 1 / (i + 1.5))
    return {
      call: (binding, { inputs, out, elementCount }) => {
        const code = DTYPE_CODES[dtype]
        binding.combine(code, code, inputs, Float64Array.of(elementCount), coefficients, out)
        return out
      },
      movedBytes: (byteLength) => byteLength + byteLength / k,
    }
  },
  // Whole segments: gram, coefficients and combine of one after the other.
  adasum: (k, dtype) => {
    const weights = new Float64Array(k).fill(1)
    return {
      call: (binding, { inputs, out, elementCount }) => {
        const [code, pieces] = [DTYPE_CODES[dtype], Float64Array.of(elementCount, 0, elementCount)]
        const stats = new Float64Array(2 + k)
        binding.reduce(OP_CODES.adasum, code, code, inputs, weights, pieces, out, new Float64Array(0), stats)
        return out
      },
      movedBytes: (byteLength) => 2 * byteLength + byteLength / k,
    }
  },
}

/** @param {string} kernel @param {number} k @param {Dtype} dtype @returns {Case} */
function caseOf(kernel, k, dtype) {
  const made = KERNELS[kernel]?.(k, dtype)
  if (!made) throw new Error(`there is no kernel ${kernel}`)
  return { name: `${kernel} k=${k} ${dtype}`, k, dtype, ...made }
}

const MORE_DTYPES = /** @type {const} */ (['f64', 'f16', 'bf16'])

/** @type {Case[]} */
export const CASES = Object.keys(KERNELS).flatMap((kernel) => [
  ...[2, 4, 8].map((k) => caseOf(kernel, k, 'f32')),
  ...MORE_DTYPES.map((dtype) => caseOf(kernel, 2, dtype)),
])

/** Numbers between -0.5 and 0.5, the same every time. @param {Case} of @param {number} byteLength of all inputs */
export function inputsOf({ k, dtype }, byteLength) {
  const elementCount = Math.floor(byteLength / k / ELEMENT_BYTES[dtype] / 2048) * 2048
  let state = 1
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state
  }
  return Array.from({ length: k }, () => {
    if (dtype === 'f64') return bytesOf(Float64Array.from({ length: elementCount }, () => next() / 2 ** 32 - 0.5))
    if (dtype === 'f32') return bytesOf(Float32Array.from({ length: elementCount }, () => next() / 2 ** 32 - 0.5))
    // Exponents from 2^-7 to 1 in either format, and any fraction and sign.
    const [one, fraction] = dtype === 'f16' ? [15, 10] : [127, 7]
    const half = () => ((one - (next() % 8)) << fraction) | (next() & ((1 << fraction) - 1)) | (next() & 0x8000)
    return bytesOf(Uint16Array.from({ length: elementCount }, half))
  })
}

/** @param {ArrayBufferView} array */
function bytesOf(array) {
  return new Uint8Array(/** @type {ArrayBuffer} */ (array.buffer), array.byteOffset, array.byteLength)
}

/**
 * As long as the library's own calls.
 *
 * @param {Case} of
 * @param {readonly Uint8Array[]} inputs
 * @param {Uint8Array} out
 * @returns {Slice[]}
 */
export function slicesOf({ k, dtype }, inputs, out) {
  const size = ELEMENT_BYTES[dtype]
  const chunk = chunkElementCount(size, k) * size
  const length = inputs[0]?.length ?? 0
  return Array.from({ length: Math.ceil(length / chunk) }, (_, i) => {
    const [begin, end] = [i * chunk, Math.min(length, (i + 1) * chunk)]
    const part = (/** @type {Uint8Array} */ array) => array.subarray(begin, end)
    return { inputs: inputs.map(part), out: part(out), elementCount: (end - begin) / size }
  })
}
