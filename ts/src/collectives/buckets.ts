/**
 * Buckets: runs of whole segments that go through a schedule one behind the other, two at a time: one is on the wire while
 * the other is reduced. No segment is cut, and slices are cut where the canonical order allows, so no bit changes.
 *
 *     bucket 0   exchange | reduce | gather
 *     bucket 1              exchange | reduce | gather
 *     bucket 2                                  exchange | reduce | gather
 *
 * Memory beside the caller's: the result, unless there is an `out`, and the inputs of two buckets.
 */
import { emptySegmentRows } from '../kernels/reduce.ts'
import { type Layout, layoutBetween } from '../tensor/layout.ts'
import { Vector } from '../tensor/vector.ts'
import { reduceByLevels } from './by-levels.ts'
import { type AllReduceJob, type Bucket, type Reduced, type Scratch, reportWidth } from './job.ts'
import { STEPS_A_BUCKET } from './level-run.ts'
import { withScratch } from './memory.ts'
import { nothingPresent, scan } from './non-finite.ts'
import type { Peers } from './peers.ts'
import { compressionFrom } from './quantizer.ts'

/** Steps are numbered with 16 bits. */
const MOST_BUCKETS = 63
const UNDER_WAY = 2

/** Where buckets begin and end, in segments: [from, to). Each has `bucketByteLength` bytes or a few more, the last may have fewer. */
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

/** The buckets of a vector that have elements, as a rank plans them. */
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

export async function reduceInBuckets(
  call: Peers,
  job: AllReduceJob,
  buckets: readonly Bucket[],
  scratch: Scratch,
): Promise<Reduced> {
  const target = job.out ?? Vector.of(scratch(job.data.byteLength))
  const ownFlags = await scan(call, job)
  const found: Reduced[] = []
  const waiting = [...buckets.entries()]
  const reduceOne = async (index: number, bucket: Bucket): Promise<void> => {
    const part = { ...partOf(job, bucket, target), ownFlags }
    found[index] = await withScratch(job.scratch, (room) =>
      reduceByLevels(call, part, bucket.levels, room, index * STEPS_A_BUCKET),
    )
  }
  const work = async (): Promise<void> => {
    try {
      for (let next = waiting.shift(); next; next = waiting.shift()) await reduceOne(...next)
    } catch (error) {
      waiting.length = 0
      throw error
    }
  }
  // If one fails, kernels of the other may still be writing into the caller's memory.
  const ends = await Promise.allSettled(Array.from({ length: UNDER_WAY }, work))
  for (const end of ends) if (end.status === 'rejected') throw end.reason
  return joined(call, job, buckets, found, target)
}

function partOf(job: AllReduceJob, { layout, begin }: Bucket, target: Vector): AllReduceJob {
  const between = (vector: Vector, byteLength: number): Vector =>
    vector.slice(begin * byteLength, (begin + layout.elementCount) * byteLength)
  const { data, resultDtype } = job
  return {
    ...job,
    layout,
    data: between(data, job.layout.dtype.byteLength),
    out: between(target, resultDtype.byteLength),
    compression: compressionFrom(job.compression, begin),
  }
}

function joined(
  { size }: Peers,
  job: AllReduceJob,
  buckets: readonly Bucket[],
  found: readonly Reduced[],
  target: Vector,
): Reduced {
  const { flags, result } = found[0]!
  if (!result) return { result: undefined, statistics: nothingPresent(job, size), flags, isSuspect: false }
  const width = reportWidth(job.statistics, size)
  const statistics = emptySegmentRows(job.layout.segmentElementCounts.length, width)
  buckets.forEach(({ firstSegment }, i) => statistics.set(found[i]!.statistics, firstSegment * width))
  return { result: target, statistics, flags, isSuspect: found.some(({ isSuspect }) => isSuspect) }
}
