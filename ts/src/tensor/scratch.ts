/**
 * Memory for what a collective holds beside the caller's buffers. It is reused, because the pages of fresh memory are
 * faulted in one by one, which costs about as much as sending them over loopback.
 */

/** Bytes of free memory that are kept for reuse, beside the largest buffers ever asked for. */
const KEPT_BYTE_LENGTH = 64 << 20

/** Allocates memory, or returns undefined if there is none of that kind. */
export type Allocate = (byteLength: number) => ArrayBuffer | undefined

export class ScratchPool {
  readonly #allocate: Allocate
  /** Free buffers, the oldest first. */
  readonly #free = new Set<ArrayBuffer>()
  /** The same buffers by their byte lengths. */
  readonly #byCapacity = new Map<number, Set<ArrayBuffer>>()
  #freeByteLength = 0
  #largest = 0

  /**
   * @param allocate - gives memory that other processes can read. Without it, or if it has none, memory comes from the
   * heap.
   */
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

  /** Returns memory of `acquire`. Nobody may touch it any more, nor may the operating system. */
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

  /** Removes a buffer from the free ones. */
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
