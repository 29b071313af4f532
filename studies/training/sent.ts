/** What a worker sends: what it has computed, unless the study wants otherwise. */
import type { Cell } from './cell.ts'
import { normalNumbers } from './random.ts'

/**
 * @param worker - the first one is the bad one, if there is one
 * @param sizes - elements of the layers: noise has the length of what it replaces in each
 * @param progress - from 0 to 1, from which noise is drawn
 */
export function sentBy(
  { badWorker, seed }: Cell,
  worker: number,
  computed: Float32Array,
  sizes: readonly number[],
  progress: number,
): Float32Array {
  if (badWorker === undefined || worker !== 0) return computed
  return badWorker === 'opposite'
    ? computed.map((value) => -value)
    : noiseLike(computed, sizes, normalNumbers(seed + Math.round(progress * 1e6)))
}

function noiseLike(computed: Float32Array, sizes: readonly number[], next: () => number): Float32Array {
  const noise = Float32Array.from({ length: computed.length }, next)
  const square = (array: Float32Array): number => array.reduce((sum, value) => sum + value * value, 0)
  let begin = 0
  for (const size of sizes) {
    const part = noise.subarray(begin, begin + size)
    const factor = Math.sqrt(square(computed.subarray(begin, begin + size)) / square(part))
    part.forEach((value, index) => (part[index] = value * factor))
    begin += size
  }
  return noise
}
