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
  #free: ArrayBuffer[] = []
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
    const index = this.#free.findIndex((buffer) => buffer.byteLength === capacity)
    if (index < 0) return new Uint8Array(this.#allocate(capacity) ?? new ArrayBuffer(capacity), 0, byteLength)
    const [buffer] = this.#free.splice(index, 1)
    this.#freeByteLength -= capacity
    return new Uint8Array(buffer!, 0, byteLength)
  }

  /** Gives memory of `acquire` back; nobody may touch it any more, the kernel of the operating system included. */
  release(bytes: Uint8Array): void {
    const buffer = bytes.buffer as ArrayBuffer
    if (this.#free.includes(buffer)) throw new Error('Scratch memory released twice.')
    this.#free.push(buffer)
    this.#freeByteLength += buffer.byteLength
    const limit = KEPT_BYTE_LENGTH + 2 * this.#largest
    while (this.#freeByteLength > limit) this.#freeByteLength -= this.#free.shift()!.byteLength
  }

  clear(): void {
    this.#free = []
    this.#freeByteLength = 0
  }
}

/** Eight classes an octave: at most 1/8 is wasted, and sizes that differ a little share buffers. */
function sizeClass(byteLength: number): number {
  if (byteLength <= 4096) return 4096
  const step = 2 ** (Math.floor(Math.log2(byteLength)) - 3)
  return Math.ceil(byteLength / step) * step
}
