/**
 * Which schedule a collective takes. It depends on what all ranks know.
 *
 * Direct: every rank sends its whole vector to every other rank and reduces all of it by itself, in one round. For two
 * ranks that moves the same bytes as any other schedule; for a few more it wins as long as a message costs more than
 * its bytes.
 *
 * Single-shot: each rank owns a slice. Slices are exchanged all-to-all, Gram partials of segments that are cut across
 * ranks are added up among the ranks that share them, each owner combines its slice, and the results are gathered.
 * Three rounds, and 2 (n-1)/n of the vector sent by each rank: no all-reduce can send less.
 *
 * Levels: the same in several stages (tree.ts). In one stage the Gram matrix of n inputs takes n (n + 1) / 2 products,
 * and every rank talks to every other, which is too much for more than 16 ranks. The results of a stage are stored, and
 * hence rounded.
 */
import type { Tuning } from '../../tuning.ts'

/** The largest world that exchanges all-to-all. It is not tunable, because levels round what single-shot does not. */
export const SINGLE_SHOT_SIZE = 16

export function allReduceSchedule(
  size: number,
  byteLength: number,
  { directSize, directByteLength }: Tuning,
): 'direct' | 'single-shot' | 'levels' {
  if (size <= 2) return 'direct'
  if (size > SINGLE_SHOT_SIZE) return 'levels'
  return size <= directSize && byteLength <= directByteLength ? 'direct' : 'single-shot'
}

export type BroadcastSchedule = 'flat' | 'scatter-gather'

/** Long messages are scattered, so that the root does not send everything n - 1 times. */
export function broadcastSchedule(size: number, byteLength: number, { scatterByteLength }: Tuning): BroadcastSchedule {
  return size > 2 && byteLength >= scatterByteLength ? 'scatter-gather' : 'flat'
}
