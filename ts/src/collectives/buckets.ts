/**
 * An all-reduce in buckets: consecutive whole segments that go through the schedule one behind the other, two at a
 * time, so that one is on the wire while the other is reduced. No segment is cut, and slices are cut where the
 * canonical order allows, so no bit changes.
 *
 *     bucket 0   exchange | reduce | gather
 *     bucket 1              exchange | reduce | gather
 *     bucket 2                                  exchange | reduce | gather
 *
 * Beside the caller's memory this takes memory for the result, unless there is an `out`, and for the inputs of two
 * buckets.
 */
import { newReport } from '../kernels/statistics.ts'
import { Vector } from '../tensor/vector.ts'
import { compressionFrom } from './compression/quantizer.ts'
import type { AllReduceJob, Reduced, Scratch } from './job.ts'
import { reduceByLevels } from './levels/by-levels.ts'
import { STEPS_A_BUCKET } from './levels/context.ts'
import { nothingReduced, scan } from './non-finite.ts'
import type { Peers } from './peers.ts'
import type { Bucket } from './schedule/buckets.ts'
import { withScratch } from './call-scratch.ts'

const UNDER_WAY = 2

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
  // If one bucket fails, kernels of the other may still be writing into the caller's memory.
  const ends = await Promise.allSettled(Array.from({ length: UNDER_WAY }, work))
  for (const end of ends) if (end.status === 'rejected') throw end.reason
  return joined(call, job, buckets, found, target)
}

function partOf(job: AllReduceJob, { layout, begin }: Bucket, target: Vector): AllReduceJob {
  const between = (vector: Vector, byteLength: number): Vector =>
    vector.subvector(begin * byteLength, (begin + layout.elementCount) * byteLength)
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
  const { presence, result } = found[0]!
  if (!result) return nothingReduced(job, size, presence)
  const report = newReport(job.layout.segmentElementCounts.length, job.detail, size)
  buckets.forEach(({ firstSegment }, i) => report.copyFrom(found[i]!.report, firstSegment))
  return { result: target, report, presence, isSuspect: found.some(({ isSuspect }) => isSuspect) }
}
