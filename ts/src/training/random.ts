/**
 * Random whole numbers that are the same on every engine: integer arithmetic alone, no Math.random, no floats that
 * could round. The generator is sfc32 (Chris Doty-Humphrey, PractRand): 96 bits of state and a counter, so that no
 * seed has a short cycle.
 */

/** Draws after seeding that are thrown away, so that seeds that differ in one bit have nothing in common. */
const MIXING_DRAWS = 20

const low = (value: number): number => value | 0
const high = (value: number): number => Math.floor(value / 2 ** 32) | 0

/** A generator of 32 bits, whole numbers from 0 to 2^32 - 1. */
export type Random32 = () => number

/**
 * @param seed - whole, from 0 to 2^53 - 1
 * @param stream - whole, from 0 to 2^32 - 1: sequences of one seed that have nothing in common
 */
export function random32(seed: number, stream: number): Random32 {
  let [a, b, c, counter] = [low(seed), high(seed), low(stream), 1]
  const next = (): number => {
    const result = (a + b + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (((c << 21) | (c >>> 11)) + result) | 0
    return result >>> 0
  }
  for (let i = 0; i < MIXING_DRAWS; i++) next()
  return next
}

/** A whole number from 0 to `bound` - 1, each as likely as any other. `bound` is from 1 to 2^32. */
export function drawBelow(random: Random32, bound: number): number {
  // The last numbers, which do not make a whole multiple of the bound, are drawn again.
  const end = 2 ** 32 - (2 ** 32 % bound)
  for (;;) {
    const drawn = random()
    if (drawn < end) return drawn % bound
  }
}

/** The whole numbers from 0 to `count` - 1 in an order of which each is equally likely (Fisher and Yates). */
export function permutation(count: number, random: Random32): Int32Array {
  const order = Int32Array.from({ length: count }, (_, index) => index)
  for (let last = count - 1; last > 0; last--) {
    const chosen = drawBelow(random, last + 1)
    const moved = order[last]!
    order[last] = order[chosen]!
    order[chosen] = moved
  }
  return order
}
