import { dtypeOf } from '../../tensor/dtype.ts'
import type { BenchArray } from './cases.ts'

/** Reproducible numbers, different on every rank; integers of all sizes, so that their sums wrap. */
export function fill<A extends BenchArray>(array: A, rank: number): A {
  let state = 2463534242 + rank * 7919
  const isBig = typeof array[0] === 'bigint'
  const isFloat = dtypeOf(array)?.isFloat === true
  for (let i = 0; i < array.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    if (isBig) array[i] = BigInt(state) << 31n
    else array[i] = isFloat ? state / 2 ** 32 - 0.4 : state
  }
  return array
}
