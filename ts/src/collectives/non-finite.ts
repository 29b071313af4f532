/** Inputs that are not finite: what every rank says of its own, and what follows once all ranks know of all. */
import { AdasumError } from '../errors.ts'
import type { Call } from '../group/call.ts'
import { NOT_FINITE } from '../group/descriptor.ts'
import { AgreedFailure } from '../group/group.ts'
import { type AllReduceJob, type AllReduceOutcome, reportWidth } from './job.ts'

/** This rank's flags, for its first header. */
export async function scan({ onNonFinite, reducer, layout, data, check }: AllReduceJob): Promise<number> {
  const found = onNonFinite !== 'propagate' && (await reducer.hasNonFinite(layout, data, check))
  return found ? NOT_FINITE : 0
}

/** How many of some ranks take part, by their flags: the weight of what is made of them. */
export function countPresent({ onNonFinite }: AllReduceJob, flags: Uint8Array): number {
  if (onNonFinite !== 'skip') return flags.length
  let count = 0
  for (const flag of flags) if (!isNonFinite(flag)) count++
  return count
}

/** Whether the call will be refused, by what is known so far. */
export function isRefused({ onNonFinite }: AllReduceJob, flags: Uint8Array): boolean {
  return onNonFinite === 'throw' && flags.some(isNonFinite)
}

/**
 * The ranks whose input is not finite, from every rank's flags, which all ranks see alike. Where such are refused, all
 * ranks throw the same, once the caller's memory is no longer in use.
 */
export async function agree(
  call: Call,
  job: AllReduceJob,
  flags: Uint8Array,
  sends: readonly Promise<void>[],
): Promise<number[]> {
  const nonFiniteRanks = [...flags.keys()].filter((rank) => isNonFinite(flags[rank]!))
  if (!isRefused(job, flags)) return nonFiniteRanks
  await Promise.all(sends)
  throw nonFiniteFailure(call, nonFiniteRanks)
}

const isNonFinite = (flag: number): boolean => (flag & NOT_FINITE) !== 0

function nonFiniteFailure(call: Call, nonFiniteRanks: readonly number[]): AgreedFailure {
  return new AgreedFailure(
    new AdasumError(
      'ERR_NON_FINITE',
      `${call.title}: the input of ${nonFiniteRanks.length} of ${call.size} ranks is not finite (rank ${nonFiniteRanks.join(', ')}). ` +
        "No buffer was changed. Skip this step on every rank, or pass onNonFinite: 'skip'.",
      { operation: call.operation, sequence: call.sequence, rank: call.rank, peerRank: nonFiniteRanks[0] },
    ),
  )
}

/** All ranks were left out: the result is the input. */
export function nothingPresent(call: Call, job: AllReduceJob, nonFiniteRanks: number[]): AllReduceOutcome {
  job.check()
  if (job.out) job.reducer.convert(job.layout, job.data, job.resultDtype, job.out)
  const rowLength = job.layout.segmentElementCounts.length * reportWidth(job.statistics, call.size)
  return { statistics: new Float64Array(rowLength).fill(NaN), nonFiniteRanks }
}
