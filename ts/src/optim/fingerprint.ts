/**
 * A fast 53-bit fingerprint: whether two ranks hold the same thing, in one number that a Float64Array can carry. It
 * finds mistakes, not attacks. Two multiplicative lanes with different constants; every word passes through both.
 */
export function fingerprint(words: Uint32Array | Int32Array): number {
  let low = 0x9e3779b9 ^ words.length
  let high = 0x85ebca6b
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!
    low = Math.imul(low ^ word, 0x9e3779b1)
    low ^= low >>> 15
    high = Math.imul(high ^ word, 0x85ebca77) ^ (low << 7)
    high ^= high >>> 13
  }
  return (high >>> 0) * 2 ** 21 + (low >>> 11)
}

/** Fingerprint of the bits of an array of floats: equal only if every value has the same bits. */
export function fingerprintOfFloats(values: Float32Array): number {
  return fingerprint(new Uint32Array(values.buffer, values.byteOffset, values.length))
}
