/**
 * All-reduce: which schedule runs, and what all of them share.
 *
 * The caller's input is only read. Results gather in `out` if the caller gave one, which sockets may then fill at any
 * time; otherwise in scratch memory, and are copied once nothing can fail any more, so that a failure leaves the
 * caller's buffer as it was.
 */
import type { Call } from '../group/call.ts'
import { reduceInBuckets } from './buckets.ts'
import { reduceByLevels } from './by-levels.ts'
import { reduceDirect } from './direct.ts'
import type { AllReduceJob, AllReduceOutcome, Reduced, Scratch } from './job.ts'
import { withScratch } from './memory.ts'
import { agree } from './non-finite.ts'

export function allReduce(call: Call, job: AllReduceJob): Promise<AllReduceOutcome> {
  return withScratch(job.scratch, (scratch) => allReduceIn(call, job, scratch))
}

async function allReduceIn(call: Call, job: AllReduceJob, scratch: Scratch): Promise<AllReduceOutcome> {
  const { data, out, layout, resultDtype, reducer } = job
  const reduced = await reduce(call, job, scratch)
  const nonFiniteRanks = await agree(call, job, reduced)
  job.check()
  if (!out && reduced.result) data.set(reduced.result)
  // All ranks were left out: the result is the input.
  if (out && !reduced.result) reducer.convert(layout, data, resultDtype, out)
  return { statistics: reduced.statistics, nonFiniteRanks }
}

function reduce(call: Call, job: AllReduceJob, scratch: Scratch): Promise<Reduced> {
  if (!job.buckets) return reduceDirect(call, job, scratch)
  if (job.buckets.length > 1) return reduceInBuckets(call, job, job.buckets, scratch)
  return reduceByLevels(call, job, job.buckets[0]!.levels, scratch)
}
