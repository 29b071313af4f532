/** Seeded numbers, the same on every machine. */

/** A generator of numbers from 0 to below 1: mulberry32. */
export function randomNumbers(seed: number): () => number {
  let state = Math.imul(seed + 1, 0x9e3779b1) >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Normally distributed numbers by Box and Muller. */
export function normalNumbers(seed: number): () => number {
  const next = randomNumbers(seed)
  return () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next())
}

/** The numbers 0 to count - 1 in an order of their own (Fisher and Yates). */
export function shuffled(count: number, seed: number): Uint32Array {
  const indices = Uint32Array.from({ length: count }, (_, index) => index)
  const next = randomNumbers(seed)
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(next() * (i + 1))
    const held = indices[i]!
    indices[i] = indices[j]!
    indices[j] = held
  }
  return indices
}

/**
 * An endless stream of samples, epoch after epoch. It depends on the seed alone, so that all operators and all numbers of
 * workers see the same samples in the same order.
 */
export class SampleStream {
  readonly #count: number
  readonly #seed: number
  #epoch = 0
  #order: Uint32Array
  #at = 0

  constructor(count: number, seed: number) {
    this.#count = count
    this.#seed = seed
    this.#order = shuffled(count, 1000 * seed)
  }

  /** The next samples. */
  take(count: number): Uint32Array {
    const taken = new Uint32Array(count)
    for (let done = 0; done < count;) {
      if (this.#at === this.#count) {
        this.#order = shuffled(this.#count, 1000 * this.#seed + ++this.#epoch)
        this.#at = 0
      }
      const part = this.#order.subarray(this.#at, this.#at + count - done)
      taken.set(part, done)
      done += part.length
      this.#at += part.length
    }
    return taken
  }
}
