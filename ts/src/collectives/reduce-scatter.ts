/**
 * Reduce-scatter: the first half of a single-shot all-reduce. Kernels may cut the vector only in some places, and the
 * caller may want it cut in others. So each owner of an interval sends every rank the part of it that belongs to that
 * rank; most of it is the owner's own.
 */
import { type Call, peersOf } from '../group/call.ts'
import { NOT_FINITE } from '../group/descriptor.ts'
import type { AllReduceJob, AllReduceOutcome, Scratch } from './job.ts'
import { type OwnResult, climb } from './levels/climb.ts'
import { type LevelContext, STEP_GATHER, newContext, reportBytes } from './levels/context.ts'
import { agree, nothingReduced } from './non-finite.ts'
import { isNonFinite } from './presence.ts'
import type { Level } from './schedule/level-plan.ts'
import type { Interval } from './schedule/slices.ts'
import { withScratch } from './call-scratch.ts'

export interface ReduceScatterJob extends Omit<AllReduceJob, 'out' | 'buckets'> {
  /** The only level of the single-shot plan. */
  readonly level: Level
  /** The first element of each rank's part, and the element count: n + 1 numbers. */
  readonly partBegins: Float64Array
  /** Receives this rank's part of the result once nothing can fail any more. */
  readonly part: Uint8Array
}

export function reduceScatter(call: Call, job: ReduceScatterJob): Promise<AllReduceOutcome> {
  return withScratch(job.scratch, (scratch) => reduceAndScatter(call, job, scratch))
}

async function reduceAndScatter(call: Call, job: ReduceScatterJob, scratch: Scratch): Promise<AllReduceOutcome> {
  const levels = [job.level]
  const upJob = { ...job, out: undefined, buckets: [{ firstSegment: 0, begin: 0, layout: job.layout, levels }] }
  const context = newContext(call, upJob, levels, scratch, 0)
  const own = await climb(context)
  const gathered = own && scratch(job.part.length)
  const isSuspect = own !== undefined && (await scatter(context, job, own, gathered!))
  const { presence } = context
  const report = own ? context.report : nothingReduced(upJob, call.size, presence).report
  const agreed = await agree(call, upJob, { presence, isSuspect })
  job.check()
  if (gathered) job.part.set(gathered)
  // All ranks are absent: the result of no vectors at all is zero.
  else job.part.fill(0)
  return { report, ...agreed }
}

/**
 * Gives every rank its part, and each owner's report of the segments that begin in its interval. Returns whether any
 * rank suspects that an input is not finite.
 */
async function scatter(
  context: LevelContext,
  { level, partBegins, resultDtype }: ReduceScatterJob,
  { vector, isSuspect }: OwnResult,
  gathered: Uint8Array,
): Promise<boolean> {
  const { call, sends } = context
  const span = call.begin('gather')
  const result = vector.parts[0]!
  const mine = intervalOf(partBegins, call.rank)
  const partOf = (bytes: Uint8Array, { begin }: Interval, part: Interval): Uint8Array =>
    // Where two intervals have nothing in common, the part may begin beyond the bytes.
    bytes.subarray((part.begin - begin) * resultDtype.byteLength, (part.end - begin) * resultDtype.byteLength)
  const indices = new Map(Array.from(level.owners, (rank, index) => [rank, index]))
  const receives = peersOf(call).map((peer) => {
    const theirs = intervalOf(level.begins, indices.get(peer)!)
    return call.receive(peer, STEP_GATHER, [
      partOf(gathered, mine, intersection(theirs, mine)),
      reportBytes(context, theirs),
    ])
  })
  for (const peer of peersOf(call)) {
    const part = partOf(result, level, intersection(level, intervalOf(partBegins, peer)))
    sends.push([call.send(peer, STEP_GATHER, [part, reportBytes(context, level)], isSuspect ? NOT_FINITE : 0)])
  }
  const kept = intersection(level, mine)
  partOf(gathered, mine, kept).set(partOf(result, level, kept))
  const flags = await Promise.all(receives)
  await Promise.all(sends.flat())
  call.end(span)
  return isSuspect || flags.some(isNonFinite)
}

function intervalOf(begins: Float64Array, index: number): Interval {
  return { begin: begins[index]!, end: begins[index + 1]! }
}

function intersection(a: Interval, b: Interval): Interval {
  const begin = Math.max(a.begin, b.begin)
  return { begin, end: Math.max(begin, Math.min(a.end, b.end)) }
}
