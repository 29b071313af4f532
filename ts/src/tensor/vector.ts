import { copyParts } from './parts.ts'

/**
 * The bytes of a vector, in one part or in several that follow each other, such as arrays that stay where they are. No
 * element lies in two parts, nor does a segment of named arrays.
 */
export class Vector {
  /** At least one part. None is empty, unless the vector is. */
  readonly parts: readonly Uint8Array[]
  readonly byteLength: number
  /** The first byte of each part, and the byte length. */
  readonly #begins: Float64Array

  constructor(parts: readonly Uint8Array[]) {
    this.parts = parts.length > 0 ? parts : [new Uint8Array(0)]
    this.#begins = new Float64Array(this.parts.length + 1)
    this.parts.forEach((part, i) => (this.#begins[i + 1] = this.#begins[i]! + part.length))
    this.byteLength = this.#begins[this.parts.length]!
  }

  static of(bytes: Uint8Array): Vector {
    return new Vector([bytes])
  }

  /** The first byte of each part but the first. What is contiguous does not reach across one. */
  get breaks(): Float64Array {
    return this.#begins.subarray(1, this.parts.length)
  }

  /** Bytes `begin` to `end`, in as many pieces as there are parts with some of them. */
  partsBetween(begin: number, end: number): Uint8Array[] {
    if (this.parts.length === 1) return [this.parts[0]!.subarray(begin, end)]
    const pieces: Uint8Array[] = []
    for (let i = this.#partAt(begin); i < this.parts.length && this.#begins[i]! < end; i++) {
      const piece = this.parts[i]!.subarray(Math.max(0, begin - this.#begins[i]!), end - this.#begins[i]!)
      if (piece.length > 0) pieces.push(piece)
    }
    return pieces
  }

  /** Bytes `begin` to `end`, in the same memory. */
  subvector(begin: number, end: number): Vector {
    return new Vector(this.partsBetween(begin, end))
  }

  /** Bytes `begin` to `end`, which must lie in one part. */
  contiguous(begin: number, end: number): Uint8Array {
    const part = this.parts.length === 1 ? 0 : this.#partAt(begin)
    return this.parts[part]!.subarray(begin - this.#begins[part]!, end - this.#begins[part]!)
  }

  /** Copies as many bytes as another vector has. */
  set(from: Vector): void {
    if (from !== this) copyParts(from.parts, this.parts)
  }

  /** Makes it zero, in any dtype. */
  clear(): void {
    for (const part of this.parts) part.fill(0)
  }

  #partAt(byte: number): number {
    return intervalAt(this.#begins, byte)
  }
}

/**
 * The index of the interval that holds a number: the last that begins at or before it. The last of `begins` is the end
 * of all.
 */
export function intervalAt(begins: Float64Array, number: number): number {
  let [low, high] = [0, begins.length - 1]
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (begins[middle]! <= number) low = middle
    else high = middle
  }
  return low
}
