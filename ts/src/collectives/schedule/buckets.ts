/** Where a vector is cut into buckets of consecutive whole segments. */
import { type Layout, layoutBetween } from '../../tensor/layout.ts'
import type { Level } from './level-plan.ts'

/** Consecutive whole segments, and this rank's part in the schedule for them. */
export interface Bucket {
  readonly firstSegment: number
  /** Its first element. */
  readonly begin: number
  /** The layout of its segments alone. */
  readonly layout: Layout
  readonly levels: readonly Level[]
}

/** Steps are numbered with 16 bits. */
const MOST_BUCKETS = 63

/**
 * The segments [from, to) of each bucket. A bucket has at least `bucketByteLength` bytes; only the last may have fewer.
 */
export function bucketRanges(layout: Layout, bucketByteLength: number): [from: number, to: number][] {
  const { segmentBegins, elementCount, dtype } = layout
  const least = Math.max(bucketByteLength / dtype.byteLength, elementCount / MOST_BUCKETS)
  const ranges: [number, number][] = []
  const segmentCount = segmentBegins.length - 1
  for (let from = 0, to = 1; to <= segmentCount; to++) {
    if (to < segmentCount && segmentBegins[to]! - segmentBegins[from]! < least) continue
    ranges.push([from, to])
    from = to
  }
  return ranges
}

/** Plans the buckets of a vector. Those without elements are left out. */
export function planBuckets(
  layout: Layout,
  bucketByteLength: number,
  plan: (layout: Layout) => Bucket['levels'],
): Bucket[] {
  return bucketRanges(layout, bucketByteLength)
    .map(([from, to]) => ({ firstSegment: from, layout: layoutBetween(layout, from, to) }))
    .filter((bucket) => bucket.layout.elementCount > 0)
    .map((bucket) => ({
      ...bucket,
      begin: layout.segmentBegins[bucket.firstSegment]!,
      levels: plan(bucket.layout),
    }))
}
