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
 * The first elements of the ranks' slices, and the element count: n + 1 numbers. A slice begins at the segment or block
 * of 2,048 elements that is nearest to an equal share; for short vectors some slices are empty.
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

/**
 * The segments [from, to) whose first element lies in an interval. If intervals make up the whole vector, each segment
 * begins in exactly one of them; but segments without elements at the end begin in none.
 */
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

/** The equal parts of a broadcast message, as n + 1 byte offsets. All but the last are multiples of 8. */
export function equalParts(byteLength: number, size: number): Float64Array {
  return Float64Array.from({ length: size + 1 }, (_, i) =>
    i === size ? byteLength : Math.floor((byteLength / size / 8) * i) * 8,
  )
}
