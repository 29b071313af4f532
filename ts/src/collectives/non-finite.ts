/**
 * Inputs that are not finite: how ranks learn of their own and of each other's, and what follows from it.
 *
 * Each rank scans its input first and sends a flag in a header. Adasum saves that pass over the data where such inputs
 * are refused and every rank learns of every Gram matrix, which show NaN and infinity. Only if one of these is not
 * finite do all ranks scan afterwards, to tell whose input it was.
 */
import { AdasumError } from '../errors.ts'
import { type Call, peersOf } from '../group/call.ts'
import { NOT_FINITE } from '../group/descriptor.ts'
import { AgreedFailure } from '../group/failure.ts'
import type { SegmentRows } from '../kernels/segment-rows.ts'
import { isAnyOrthogonalityNaN, reportOfNothing } from '../kernels/statistics.ts'
import type { AllReduceJob, AllReduceOutcome, Reduced } from './job.ts'
import type { Peers } from './peers.ts'
import { type Presence, isAnyPresent, isNonFinite } from './presence.ts'

const STEP_LOOK = 0xffff

type Looking = Pick<AllReduceJob, 'onNonFinite' | 'reducer' | 'buckets'>

/** Whether the Gram matrices show what is not finite, so that ranks scan only afterwards. */
function looksAfterwards({ size }: Peers, { onNonFinite, reducer, buckets }: Looking): boolean {
  const levelCount = buckets?.[0]!.levels.length ?? 1
  return size > 1 && onNonFinite === 'throw' && reducer.seesNonFinite && levelCount === 1
}

/** Whether ranks scan their inputs first, and tell each other. */
export function looksFirst(call: Peers, job: Looking): boolean {
  return job.onNonFinite !== 'propagate' && !looksAfterwards(call, job)
}

/** The flags that this rank sends with its input. */
export async function scan(call: Peers, job: AllReduceJob): Promise<number> {
  return job.ownFlags ?? (looksFirst(call, job) ? look(job) : 0)
}

async function look({ weight, reducer, layout, data, check }: AllReduceJob): Promise<number> {
  // Nobody looks at the input of a rank that is absent anyway.
  if (weight === 0) return 0
  return (await reducer.hasNonFinite(layout, data, check)) ? NOT_FINITE : 0
}

/** Whether a slice's Gram matrices show something that is not finite and that no rank has scanned for. */
export function isSuspect(call: Peers, job: Looking, statistics: SegmentRows): boolean {
  return looksAfterwards(call, job) && isAnyOrthogonalityNaN(statistics)
}

/** Whether there is anything to combine, by what is known so far: no input is refused, and not all ranks are absent. */
export function hasResult(job: Looking, presence: Presence): boolean {
  return !isRefused(job, presence) && isAnyPresent(job, presence)
}

/** Whether the call will be refused, by the flags so far. */
export function isRefused({ onNonFinite }: Looking, { flags }: Presence): boolean {
  return onNonFinite === 'throw' && flags.some(isNonFinite)
}

/**
 * Which ranks' inputs are not finite, and the ranks' weights; all ranks get the same lists. Where such inputs are refused,
 * all ranks throw the same error.
 */
export async function agree(
  call: Call,
  job: AllReduceJob,
  { presence, isSuspect }: Pick<Reduced, 'presence' | 'isSuspect'>,
): Promise<Pick<AllReduceOutcome, 'nonFiniteRanks' | 'weights'>> {
  const flags = isSuspect ? await lookAfterwards(call, job) : presence.flags
  const nonFiniteRanks = [...flags.keys()].filter((rank) => isNonFinite(flags[rank]!))
  if (isRefused(job, { ...presence, flags })) throw nonFiniteFailure(call, nonFiniteRanks)
  return { nonFiniteRanks, weights: job.weight === undefined ? undefined : [...presence.weights] }
}

/** Scans this rank's input, and returns the flags of all ranks. */
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

/** The outcome of a call whose inputs are refused, or in which all ranks are absent. */
export function nothingReduced({ layout, detail }: AllReduceJob, size: number, presence: Presence): Reduced {
  const report = reportOfNothing(layout.segmentElementCounts.length, detail, size)
  return { result: undefined, report, presence, isSuspect: false }
}
