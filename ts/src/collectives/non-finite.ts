/**
 * Inputs that are not finite: how ranks come to know of their own and of each other's, and what follows.
 *
 * Every rank looks through its input first, and says what it has found in a header. Adasum saves that pass over the data
 * where such inputs are refused and every rank hears of every Gram matrix: these show it. Then all ranks look afterwards,
 * only if one was not finite, to tell whose fault it is.
 */
import { AdasumError } from '../errors.ts'
import { type Call, peersOf } from '../group/call.ts'
import { NOT_FINITE } from '../group/descriptor.ts'
import { AgreedFailure } from '../group/failure.ts'
import type { SegmentRows } from '../kernels/segment-rows.ts'
import { isAnyOrthogonalityNaN, reportOfNothing } from '../kernels/statistics.ts'
import type { AllReduceJob, Reduced } from './job.ts'
import type { Peers } from './peers.ts'

const STEP_LOOK = 0xffff

type Looking = Pick<AllReduceJob, 'onNonFinite' | 'reducer' | 'buckets'>

/** Whether the Gram matrices are to show what is not finite. */
function looksAfterwards({ size }: Peers, { onNonFinite, reducer, buckets }: Looking): boolean {
  const levelCount = buckets?.[0]!.levels.length ?? 1
  return size > 1 && onNonFinite === 'throw' && reducer.seesNonFinite && levelCount === 1
}

/** Whether ranks say something of their inputs. */
export function looksFirst(call: Peers, job: Looking): boolean {
  return job.onNonFinite !== 'propagate' && !looksAfterwards(call, job)
}

/** This rank's flags, for its first header. */
export async function scan(call: Peers, job: AllReduceJob): Promise<number> {
  return job.ownFlags ?? (looksFirst(call, job) ? look(job) : 0)
}

async function look({ reducer, layout, data, check }: AllReduceJob): Promise<number> {
  return (await reducer.hasNonFinite(layout, data, check)) ? NOT_FINITE : 0
}

/** Whether a slice's Gram matrices show something that is not finite, and that nobody has looked for. */
export function isSuspect(call: Peers, job: Looking, statistics: SegmentRows): boolean {
  return looksAfterwards(call, job) && isAnyOrthogonalityNaN(statistics)
}

/** How many of some ranks take part, by their flags: the weight of what is made of them. */
export function countPresent({ onNonFinite }: Looking, flags: Uint8Array): number {
  if (onNonFinite !== 'skip') return flags.length
  let count = 0
  for (const flag of flags) if (!isNonFinite(flag)) count++
  return count
}

/** Whether anything is combined, by what is known so far: no input is refused, and not all are left out. */
export function hasResult(job: Looking, flags: Uint8Array): boolean {
  return !isRefused(job, flags) && countPresent(job, flags) > 0
}

/** Whether the call will be refused, by what is known so far. */
export function isRefused({ onNonFinite }: Looking, flags: Uint8Array): boolean {
  return onNonFinite === 'throw' && flags.some(isNonFinite)
}

/** The ranks whose input is not finite, which all ranks see alike. Where such are refused, all ranks throw the same. */
export async function agree(
  call: Call,
  job: AllReduceJob,
  found: Pick<Reduced, 'flags' | 'isSuspect'>,
): Promise<number[]> {
  const flags = found.isSuspect ? await lookAfterwards(call, job) : found.flags
  const nonFiniteRanks = [...flags.keys()].filter((rank) => isNonFinite(flags[rank]!))
  if (isRefused(job, flags)) throw nonFiniteFailure(call, nonFiniteRanks)
  return nonFiniteRanks
}

/** What every rank finds in its input. */
async function lookAfterwards(call: Call, job: AllReduceJob): Promise<Uint8Array> {
  const flags = new Uint8Array(call.size)
  const receives = peersOf(call).map((peer) => call.receive(peer, STEP_LOOK, []))
  flags[call.rank] = await look(job)
  const sends = peersOf(call).map((peer) => call.send(peer, STEP_LOOK, [], flags[call.rank]))
  const found = await Promise.all(receives)
  peersOf(call).forEach((peer, i) => (flags[peer] = found[i]!))
  await Promise.all(sends)
  return flags
}

export const isNonFinite = (flag: number): boolean => (flag & NOT_FINITE) !== 0

function nonFiniteFailure(call: Call, nonFiniteRanks: readonly number[]): AgreedFailure {
  return new AgreedFailure(
    new AdasumError(
      'ERR_NON_FINITE',
      `${call.title}: the input of ${nonFiniteRanks.length} of ${call.size} ranks is not finite (rank ${nonFiniteRanks.join(', ')}). ` +
        "No input was changed. Skip this step on every rank, or pass onNonFinite: 'skip'.",
      { operation: call.operation, sequence: call.sequence, rank: call.rank, peerRank: nonFiniteRanks[0] },
    ),
  )
}

/** What a call comes to whose inputs are refused, or were all left out. */
export function nothingReduced({ layout, detail }: AllReduceJob, size: number, flags: Uint8Array): Reduced {
  const report = reportOfNothing(layout.segmentElementCounts.length, detail, size)
  return { result: undefined, report, flags, isSuspect: false }
}
