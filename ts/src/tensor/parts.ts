/** Messages and vectors that lie in several consecutive parts. */

/** Copies bytes from one list of parts to another of the same total length. */
export function copyParts(from: readonly Uint8Array[], to: readonly Uint8Array[]): void {
  let [part, at] = [0, 0]
  for (const source of from) {
    for (let taken = 0; taken < source.length;) {
      while (at === to[part]!.length) [part, at] = [part + 1, 0]
      const count = Math.min(source.length - taken, to[part]!.length - at)
      to[part]!.set(source.subarray(taken, taken + count), at)
      taken += count
      at += count
    }
  }
}
