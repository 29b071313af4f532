import type { FloatArray } from '../../types.ts'

/** Reproducible numbers, different on every rank. */
export function fill<A extends FloatArray>(array: A, rank: number): A {
  let state = 2463534242 + rank * 7919
  for (let i = 0; i < array.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    array[i] = state / 2 ** 32 - 0.4
  }
  return array
}
