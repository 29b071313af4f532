/**
 * Reduce-scatter: the first half of a single-shot all-reduce. Where the kernels may cut the vector and where the caller
 * wants it cut are not the same, so each owner gives every rank what of its interval that rank wants: mostly its own.
 */
import { type Call, peersOf } from '../group/call.ts'
import { NOT_FINITE } from '../group/descriptor.ts'
import { type OwnResult, newRun, reduceUp } from './by-levels.ts'
import type { AllReduceJob, AllReduceOutcome, Scratch } from './job.ts'
import type { Level } from './level-plan.ts'
import { type Run, STEP_GATHER } from './level-run.ts'
import { withScratch } from './memory.ts'
import { agree, isNonFinite, nothingPresent } from './non-finite.ts'

export interface ReduceScatterJob extends Omit<AllReduceJob, 'out' | 'buckets'> {
  /** The only one of the single-shot plan. */
  readonly level: Level
  /** First elements of the parts that the ranks want, and the element count: n + 1 numbers. */
  readonly wanted: Float64Array
  /** Receives this rank's part of the result once nothing can fail any more. */
  readonly part: Uint8Array
}

export function reduceScatter(call: Call, job: ReduceScatterJob): Promise<AllReduceOutcome> {
  return withScratch(job.scratch, (scratch) => reduceAndScatter(call, job, scratch))
}

async function reduceAndScatter(call: Call, job: ReduceScatterJob, scratch: Scratch): Promise<AllReduceOutcome> {
  const levels = [job.level]
  const upJob = { ...job, out: undefined, buckets: [{ firstSegment: 0, begin: 0, layout: job.layout, levels }] }
  const run = newRun(call, upJob, levels, scratch, 0)
  const own = await reduceUp(run)
  const gathered = own && scratch(job.part.length)
  const isSuspect = own !== undefined && (await scatter(run, job, own, gathered!))
  const statistics = own ? run.report.values : nothingPresent(upJob, call.size)
  const nonFiniteRanks = await agree(call, upJob, { flags: run.flags, isSuspect })
  job.check()
  if (gathered) job.part.set(gathered)
  // All ranks were left out: of no vectors at all the result is zero.
  else job.part.fill(0)
  return { statistics, nonFiniteRanks }
}

/**
 * With its part, every rank gets the report of each owner's segments. Returns whether any rank suspects that an input is not
 * finite.
 */
async function scatter(
  { call, report, sends }: Run,
  { level, wanted, resultDtype }: ReduceScatterJob,
  { vector, isSuspect }: OwnResult,
  gathered: Uint8Array,
): Promise<boolean> {
  const span = call.begin('gather')
  const result = vector.parts[0]!
  const own: Interval = [level.begin, level.end]
  const mine = intervalAt(wanted, call.rank)
  const partOf = (bytes: Uint8Array, [begin]: Interval, [from, to]: Interval): Uint8Array =>
    // Where two intervals have nothing in common, `from` may be beyond the bytes.
    bytes.subarray((from - begin) * resultDtype.byteLength, (to - begin) * resultDtype.byteLength)
  const indices = new Map(Array.from(level.owners, (rank, index) => [rank, index]))
  const receives = peersOf(call).map((peer) => {
    const theirs = intervalAt(level.begins, indices.get(peer)!)
    return call.receive(peer, STEP_GATHER, [
      partOf(gathered, mine, intersection(theirs, mine)),
      report.bytesBetween(...theirs),
    ])
  })
  for (const peer of peersOf(call)) {
    const part = partOf(result, own, intersection(own, intervalAt(wanted, peer)))
    sends.push([call.send(peer, STEP_GATHER, [part, report.bytesBetween(...own)], isSuspect ? NOT_FINITE : 0)])
  }
  const kept = intersection(own, mine)
  partOf(gathered, mine, kept).set(partOf(result, own, kept))
  const flags = await Promise.all(receives)
  await Promise.all(sends.flat())
  call.end(span)
  return isSuspect || flags.some(isNonFinite)
}

type Interval = readonly [begin: number, end: number]

const intervalAt = (begins: Float64Array, index: number): Interval => [begins[index]!, begins[index + 1]!]

function intersection(a: Interval, b: Interval): Interval {
  const begin = Math.max(a[0], b[0])
  return [begin, Math.max(begin, Math.min(a[1], b[1]))]
}
