/**
 * Copies, into shared memory, messages that lie elsewhere, so that peers can read them. One copy serves all peers that
 * are offered the same bytes at the same time: until the last of them has read it, the caller must not change the
 * original, so the two are equal.
 */
import type { ScratchPool } from '../tensor/scratch.ts'
import { LEAST_SEGMENT_BYTE_LENGTH } from '../shared-memory/offer.ts'
import type { SharedMemory } from '../shared-memory/shared-memory.ts'

/** Parts up to this length are not copied: they travel in the offer. */
const SHORT_BYTE_LENGTH = 4 << 10

interface Copy {
  readonly buffer: ArrayBufferLike
  readonly byteOffset: number
  readonly bytes: Uint8Array
  users: number
}

/** A message whose parts lie where peers can read them. */
export interface StagedMessage {
  readonly parts: readonly Uint8Array[]
  /** The sender calls it when the peer needs the parts no more. */
  readonly release: () => void
}

export class Staging {
  readonly #memory: SharedMemory
  readonly #scratch: ScratchPool
  readonly #copies = new Map<ArrayBufferLike, Copy[]>()

  constructor(memory: SharedMemory, scratch: ScratchPool) {
    this.#memory = memory
    this.#scratch = scratch
  }

  /** Copies the parts that peers cannot read; undefined if there is no room for them. */
  stage(parts: readonly Uint8Array[]): StagedMessage | undefined {
    if (this.#memory.holdsAll(parts)) return { parts, release: () => undefined }
    const copies: Copy[] = []
    const release = (): void => copies.forEach((copy) => this.#release(copy))
    const staged: Uint8Array[] = []
    for (const part of parts) {
      if (this.#memory.holds(part) || part.length <= SHORT_BYTE_LENGTH) {
        staged.push(part)
        continue
      }
      const copy = this.#copyOf(part)
      if (!copy) {
        release()
        return undefined
      }
      copies.push(copy)
      staged.push(copy.bytes)
    }
    return { parts: staged, release }
  }

  #copyOf(part: Uint8Array): Copy | undefined {
    const known = this.#copies.get(part.buffer) ?? []
    const same = known.find((copy) => copy.byteOffset === part.byteOffset && copy.bytes.length === part.length)
    if (same) {
      same.users++
      return same
    }
    const bytes = this.#scratch.acquire(Math.max(part.length, LEAST_SEGMENT_BYTE_LENGTH + 1)).subarray(0, part.length)
    if (!this.#memory.holds(bytes)) {
      this.#scratch.release(bytes)
      return undefined
    }
    bytes.set(part)
    const { buffer, byteOffset } = part
    const copy = { buffer, byteOffset, bytes, users: 1 }
    this.#copies.set(buffer, [...known, copy])
    return copy
  }

  #release(copy: Copy): void {
    if (--copy.users > 0) return
    const { buffer } = copy
    const left = (this.#copies.get(buffer) ?? []).filter((other) => other !== copy)
    if (left.length > 0) this.#copies.set(buffer, left)
    else this.#copies.delete(buffer)
    this.#scratch.release(copy.bytes)
  }
}
