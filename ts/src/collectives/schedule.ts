/**
 * Schedules: who sends what to whom. Pure functions of what all ranks know.
 *
 * Direct: every rank sends its whole vector to every other and reduces it all by itself: one round. For two ranks that
 * moves the same bytes as any other way; for a few more it wins as long as a message costs more than its bytes.
 *
 * Single-shot: each rank owns a slice. Slices are exchanged all-to-all, Gram partials of segments that are cut across
 * ranks are added up among the ranks that share them, each owner combines its slice, and the results are gathered.
 * Three rounds, and 2 (n-1)/n of the vector sent by each rank: no all-reduce can send less.
 *
 * Levels: the same in several stages, for more than 16 ranks: the Gram matrix of n inputs takes n (n + 1) / 2 products,
 * and everyone talks to everyone. levels.ts has the stages; their results are stored, hence rounded, in between.
 */
import { BLOCK_ELEMENTS } from '../binding/binding.ts'
import { segmentAt } from '../kernels/slice.ts'
import type { Layout } from '../tensor/layout.ts'
import type { Tuning } from '../tuning.ts'

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

/** A long message is scattered, so that the root does not send everything n - 1 times. */
export function broadcastSchedule(
  size: number,
  byteLength: number,
  { scatterByteLength }: Tuning,
): 'flat' | 'scatter-gather' {
  return size > 2 && byteLength >= scatterByteLength ? 'scatter-gather' : 'flat'
}

/**
 * First elements of the ranks' slices, and the element count: n + 1 numbers. A slice begins where a segment or a block
 * of 2,048 elements begins, the next one to an equal share; for short vectors some slices are empty.
 */
export function sliceBegins(layout: Layout, size: number): Float64Array {
  return Float64Array.from({ length: size + 1 }, (_, rank) => {
    const share = Math.floor((layout.elementCount / size) * rank)
    return rank === size ? layout.elementCount : nearestCut(layout, share)
  })
}

function nearestCut(layout: Layout, element: number): number {
  const segment = segmentAt(layout, element)
  const begin = layout.segmentBegins[segment]!
  const end = layout.segmentBegins[segment + 1]!
  const before = begin + Math.floor((element - begin) / BLOCK_ELEMENTS) * BLOCK_ELEMENTS
  const after = Math.min(end, before + BLOCK_ELEMENTS)
  return element - before <= after - element ? before : after
}

/** Segments whose first element lies in a slice: [from, to). Each segment is in exactly one, empty ones at the end in none. */
export function segmentsBeginningIn(layout: Layout, begin: number, end: number): [from: number, to: number] {
  return [firstSegmentFrom(layout, begin), firstSegmentFrom(layout, end)]
}

function firstSegmentFrom({ segmentBegins, segmentElementCounts }: Layout, element: number): number {
  let [low, high] = [0, segmentElementCounts.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (segmentBegins[middle]! < element) low = middle + 1
    else high = middle
  }
  return low
}

/** Equal parts of a message for a broadcast: n + 1 byte offsets, multiples of 8 except the last. */
export function equalParts(byteLength: number, size: number): Float64Array {
  return Float64Array.from({ length: size + 1 }, (_, i) =>
    i === size ? byteLength : Math.floor((byteLength / size / 8) * i) * 8,
  )
}
