/** Memory that ranks of one process share, and what lies in it. */
import { loadSharedMemory } from '#binding'
import { SharedMemory } from '../../ts/src/shared-memory/shared-memory.ts'
import type { NumericArray } from '../../ts/src/types.ts'

export type DtypeName = 'f32' | 'f64' | 'f16' | 'bf16' | 'u8' | 'i32' | 'u32' | 'i64' | 'u64'

export const FLOATS = ['f32', 'f64', 'f16', 'bf16'] as const
export const INTEGERS = ['u8', 'i32', 'u32', 'i64', 'u64'] as const
/** Cut among ranks, parts are still longer than a small frame. */
export const LONG = 120_007

export const shared = (limit?: number) => (): SharedMemory => new SharedMemory(loadSharedMemory(), limit)

/** A prime, so that parts of a long array differ however it is cut. */
const PERIOD = 65_521

/** Finite numbers of every dtype, different on every rank. */
export function fill<A extends NumericArray>(array: A, name: DtypeName, seed: number): A {
  const values = array as unknown as Record<number, number | bigint>
  let state = 2463534242 + seed * 7919
  const head = Math.min(array.length, PERIOD)
  for (let i = 0; i < head; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    // Positive halves of moderate size; all other dtypes take anything.
    if (name === 'f16' || name === 'bf16') values[i] = (name === 'f16' ? 0x3800 : 0x3f00) + (state >>> 24)
    else if (name === 'i64' || name === 'u64') values[i] = BigInt(state)
    else values[i] = name.startsWith('f') ? state / 2 ** 32 - 0.4 : state
  }
  for (let at = head; at < array.length; at += head) array.copyWithin(at, 0, Math.min(head, array.length - at))
  return array
}
