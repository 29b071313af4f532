/**
 * All-reduce: which schedule runs, and what all of them share.
 *
 * The caller's input is only read. Results gather in `out` if the caller gave one, which sockets may then fill at any
 * time; otherwise in scratch memory, and are copied once nothing can fail any more, so that a failure leaves the
 * caller's buffer as it was.
 */
import type { Call } from '../group/call.ts'
import { allReduceByLevels } from './by-levels.ts'
import { allReduceDirect } from './direct.ts'
import type { AllReduceJob, AllReduceOutcome } from './job.ts'
import { withScratch } from './memory.ts'

export function allReduce(call: Call, job: AllReduceJob): Promise<AllReduceOutcome> {
  return withScratch(job.scratch, (scratch) =>
    job.levels ? allReduceByLevels(call, job, job.levels, scratch) : allReduceDirect(call, job, scratch),
  )
}
