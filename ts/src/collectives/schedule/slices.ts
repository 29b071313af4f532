/** Where a vector or a message is cut into the ranks' parts. */
import { BLOCK_ELEMENTS } from '../../binding/binding.ts'
import { segmentAt } from '../../kernels/slice.ts'
import type { Layout } from '../../tensor/layout.ts'

/** Elements `begin` to `end` of a vector. */
export interface Interval {
  readonly begin: number
  readonly end: number
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

/** Segments whose first element lies in an interval: [from, to). Each segment is in exactly one, empty ones at the end in none. */
export function segmentsBeginningIn(layout: Layout, { begin, end }: Interval): [from: number, to: number] {
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
