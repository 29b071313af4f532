/**
 * Reused memory for what a collective holds besides the caller's buffers. Fresh memory is dear: its pages are faulted in
 * one by one, which costs about as much as sending it over loopback.
 */

/** Free memory kept for reuse, besides the largest buffers ever asked for. */
const KEPT_BYTE_LENGTH = 64 << 20

/** New memory of some length, or undefined if it cannot be had from there. */
export type Allocate = (byteLength: number) => ArrayBuffer | undefined

export class ScratchPool {
  readonly #allocate: Allocate
  /** The oldest first. */
  readonly #free = new Set<ArrayBuffer>()
  /** The same by their byte lengths. */
  readonly #byCapacity = new Map<number, Set<ArrayBuffer>>()
  #freeByteLength = 0
  #largest = 0

  /** @param allocate - where memory comes from that others are to read; without it, and where it has none, from the heap */
  constructor(allocate: Allocate = () => undefined) {
    this.#allocate = allocate
  }

  /** `byteLength` bytes, aligned for every dtype, with arbitrary contents. */
  acquire(byteLength: number): Uint8Array {
    const capacity = sizeClass(byteLength)
    this.#largest = Math.max(this.#largest, capacity)
    const buffer = first(this.#byCapacity.get(capacity) ?? [])
    if (!buffer) return new Uint8Array(this.#allocate(capacity) ?? new ArrayBuffer(capacity), 0, byteLength)
    this.#take(buffer)
    return new Uint8Array(buffer, 0, byteLength)
  }

  /** Gives memory of `acquire` back; nobody may touch it any more, the kernel of the operating system included. */
  release(bytes: Uint8Array): void {
    const buffer = bytes.buffer as ArrayBuffer
    if (this.#free.has(buffer)) throw new Error('Scratch memory released twice.')
    this.#free.add(buffer)
    const { byteLength } = buffer
    const alike = this.#byCapacity.get(byteLength)
    if (alike) alike.add(buffer)
    else this.#byCapacity.set(byteLength, new Set([buffer]))
    this.#freeByteLength += byteLength
    const limit = KEPT_BYTE_LENGTH + 2 * this.#largest
    while (this.#freeByteLength > limit) this.#take(first(this.#free)!)
  }

  clear(): void {
    this.#free.clear()
    this.#byCapacity.clear()
    this.#freeByteLength = 0
  }

  /** It is no longer free. */
  #take(buffer: ArrayBuffer): void {
    const { byteLength } = buffer
    const alike = this.#byCapacity.get(byteLength)!
    alike.delete(buffer)
    if (alike.size === 0) this.#byCapacity.delete(byteLength)
    this.#free.delete(buffer)
    this.#freeByteLength -= byteLength
  }
}

function first<T>(items: Iterable<T>): T | undefined {
  for (const item of items) return item
  return undefined
}

/** Eight classes an octave: at most 1/8 is wasted, and sizes that differ a little share buffers. */
function sizeClass(byteLength: number): number {
  if (byteLength <= 4096) return 4096
  const step = 2 ** (Math.floor(Math.log2(byteLength)) - 3)
  return Math.ceil(byteLength / step) * step
}
