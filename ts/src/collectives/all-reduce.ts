/**
 * All-reduce: chooses what follows the schedule, and does what all schedules have in common.
 *
 * The caller's input is only read. Results gather in `out` if the caller gave one; sockets may then fill it at any
 * time. Without `out` they gather in scratch memory and are copied once nothing can fail any more, so that a failure
 * leaves the caller's buffer as it was.
 */
import type { Call } from '../group/call.ts'
import { reduceInBuckets } from './buckets.ts'
import { reduceDirect } from './direct.ts'
import type { AllReduceJob, AllReduceOutcome, Reduced, Scratch } from './job.ts'
import { reduceByLevels } from './levels/by-levels.ts'
import { agree } from './non-finite.ts'
import { inOrder, inRankOrder } from './peers.ts'
import { withScratch } from './call-scratch.ts'

export function allReduce(call: Call, job: AllReduceJob): Promise<AllReduceOutcome> {
  return withScratch(job.scratch, (scratch) => allReduceIn(call, job, scratch))
}

async function allReduceIn(call: Call, job: AllReduceJob, scratch: Scratch): Promise<AllReduceOutcome> {
  const { data, out } = job
  const reduced = await reduce(call, job, scratch)
  const agreed = await agree(call, job, reduced)
  job.check()
  // The result of no vectors at all is zero, so that every rank holds the same bits.
  if (!reduced.result) (out ?? data).clear()
  else if (!out) data.set(reduced.result)
  job.compression?.feedback?.commit()
  return { report: reduced.report, ...agreed }
}

async function reduce(call: Call, job: AllReduceJob, scratch: Scratch): Promise<Reduced> {
  if (!job.buckets) return reduceDirect(call, job, scratch)
  const order = job.hierarchy?.order
  const peers = order ? inOrder(call, order) : call
  const reduced =
    job.buckets.length > 1
      ? await reduceInBuckets(peers, job, job.buckets, scratch)
      : await reduceByLevels(peers, job, job.buckets[0]!.levels, scratch)
  return order ? inRankOrder(reduced, order) : reduced
}
