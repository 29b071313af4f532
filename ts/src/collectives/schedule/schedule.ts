/**
 * Which schedule a collective takes, from what all ranks know.
 *
 * Direct: every rank sends its whole vector to every other and reduces it all by itself: one round. For two ranks that
 * moves the same bytes as any other way; for a few more it wins as long as a message costs more than its bytes.
 *
 * Single-shot: each rank owns a slice. Slices are exchanged all-to-all, Gram partials of segments that are cut across
 * ranks are added up among the ranks that share them, each owner combines its slice, and the results are gathered.
 * Three rounds, and 2 (n-1)/n of the vector sent by each rank: no all-reduce can send less.
 *
 * Levels: the same in several stages, for more than 16 ranks: the Gram matrix of n inputs takes n (n + 1) / 2 products,
 * and everyone talks to everyone. tree.ts has the stages; their results are stored, hence rounded, in between.
 */
import type { Tuning } from '../../tuning.ts'

/** The largest world that exchanges all-to-all. No part of the tuning: levels round what single-shot does not. */
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

/** A long message is scattered, so that the root does not send everything n - 1 times. */
export function broadcastSchedule(size: number, byteLength: number, { scatterByteLength }: Tuning): BroadcastSchedule {
  return size > 2 && byteLength >= scatterByteLength ? 'scatter-gather' : 'flat'
}
