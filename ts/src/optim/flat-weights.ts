/** Flat memory for weights of each dtype that a model may have. */
const ARRAY_TYPES = { float32: Float32Array, int32: Int32Array, uint32: Uint32Array, bool: Uint8Array } as const

export type WeightDtype = 'float32' | 'int32' | 'uint32' | 'bool'
export type FlatWeights = Float32Array | Int32Array | Uint32Array | Uint8Array

export function isWeightDtype(dtype: string): dtype is WeightDtype {
  return Object.hasOwn(ARRAY_TYPES, dtype)
}

export function newFlat(dtype: WeightDtype, elementCount: number): FlatWeights {
  return new ARRAY_TYPES[dtype](elementCount)
}

/**
 * The elements that bytes hold, in the same memory.
 * @param bytes - in the machine's order, at the beginning of a buffer of their own
 */
export function flatOf(dtype: WeightDtype, bytes: Uint8Array): FlatWeights {
  return new ARRAY_TYPES[dtype](bytes.buffer as ArrayBuffer)
}
