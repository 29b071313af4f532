// Imported before jax-js, whose memory it then knows.

/** @type {any[]} */
const memories = []
/** @type {any} */
const wasm = Reflect.get(globalThis, 'WebAssembly')
const { Memory } = wasm

wasm.Memory = class extends Memory {
  /** @param {unknown} descriptor */
  constructor(descriptor) {
    super(descriptor)
    memories.push(this)
  }
}

/** @returns {number} bytes of all memories of WebAssembly that have been made since */
export const watchedBytes = () => memories.reduce((total, { buffer }) => total + buffer.byteLength, 0)
