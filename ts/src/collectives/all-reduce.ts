/**
 * All-reduce: which schedule runs, and what all of them share.
 *
 * The caller's input is only read. Results gather in `out` if the caller gave one, which sockets may then fill at any
 * time; otherwise in scratch memory, and are copied once nothing can fail any more, so that a failure leaves the
 * caller's buffer as it was.
 */
import type { Call } from '../group/call.ts'
import { AgreedFailure } from '../group/group.ts'
import { allReduceByLevels } from './by-levels.ts'
import { allReduceDirect } from './direct.ts'
import type { AllReduceJob, AllReduceOutcome } from './job.ts'

export async function allReduce(call: Call, job: AllReduceJob): Promise<AllReduceOutcome> {
  const held: Uint8Array[] = []
  const scratch = (byteLength: number): Uint8Array => {
    const bytes = job.scratch.acquire(byteLength)
    held.push(bytes)
    return bytes
  }
  try {
    return await (job.levels ? allReduceByLevels(call, job, job.levels, scratch) : allReduceDirect(call, job, scratch))
  } catch (error) {
    // After any other failure it is not given back: a connection may still be filling it.
    if (!(error instanceof AgreedFailure)) held.length = 0
    throw error
  } finally {
    for (const bytes of held) job.scratch.release(bytes)
  }
}
