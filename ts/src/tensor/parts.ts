/** What messages and vectors that lie in several parts have in common. */
import { isReady, loadBinding } from '#binding'

/** Copies bytes from one list of parts to another of the same total length. */
export function copyParts(from: readonly Uint8Array[], to: readonly Uint8Array[]): void {
  let [part, at] = [0, 0]
  for (const source of from) {
    for (let taken = 0; taken < source.length;) {
      while (at === to[part]!.length) [part, at] = [part + 1, 0]
      const count = Math.min(source.length - taken, to[part]!.length - at)
      copyBytes(source.subarray(taken, taken + count), to[part]!, at)
      taken += count
      at += count
    }
  }
}

/**
 * From this length on the binding may copy faster than the JavaScript engine: past the cache, which has no room for so
 * much.
 */
const LONG_BYTE_LENGTH = 4 << 20

function copyBytes(from: Uint8Array, to: Uint8Array, at: number): void {
  const isLong = from.length >= LONG_BYTE_LENGTH && from.buffer !== to.buffer
  const copy = isLong && isReady() ? loadBinding().copy : undefined
  if (copy) copy(from, to.subarray(at, at + from.length))
  else to.set(from, at)
}
