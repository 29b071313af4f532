/**
 * The direct schedule: every rank sends its whole vector to every other, and reduces it all by itself.
 *
 * Long vectors are reduced while they come, segment by segment, each piece while the cache still has it. If a rank has to
 * say something of its input, that then comes after the input, so that nobody waits for it to be scanned. (Not where inputs
 * may be left out: who takes part must be known first.)
 */
import { type Call, peersOf } from '../group/call.ts'
import { type SliceStatistics, emptySegmentRows, reportRows } from '../kernels/reduce.ts'
import { chunkElementCount, sliceOf } from '../kernels/slice.ts'
import { Vector } from '../tensor/vector.ts'
import { Arrivals } from './arrival.ts'
import { type AllReduceJob, type Reduced, type Scratch, reportWidth } from './job.ts'
import { countPresent, isRefused, isSuspect, looksFirst, nothingPresent, scan } from './non-finite.ts'

const STEP_DATA = 0
const STEP_FLAGS = 1

/** What comes is reduced in calls of so many bytes of all inputs: the second-level cache still has them. */
const STREAM_CALL_BYTE_LENGTH = 1 << 20

export function reduceDirect(call: Call, job: AllReduceJob, scratch: Scratch): Promise<Reduced> {
  const isLong = call.size > 1 && job.data.byteLength >= call.tuning.streamByteLength
  return (isLong && job.onNonFinite !== 'skip' ? streamed : atOnce)(call, job, inputsOf(call, job, scratch))
}

async function atOnce(call: Call, job: AllReduceJob, inputs: readonly Vector[]): Promise<Reduced> {
  const flags = new Uint8Array(call.size)
  const exchange = call.begin('exchange')
  const receives = peersOf(call).map((peer) => call.receive(peer, STEP_DATA, inputs[peer]!.parts))
  flags[call.rank] = await scan(call, job)
  job.check()
  const sends = peersOf(call).map((peer) => call.send(peer, STEP_DATA, job.data.parts, flags[call.rank]))
  const theirs = await Promise.all(receives)
  call.end(exchange)
  peersOf(call).forEach((peer, i) => (flags[peer] = theirs[i]!))
  const hasResult = !isRefused(job, flags) && countPresent(job, flags) > 0
  const found = hasResult ? await job.reducer.reduce(workOf(call, job, inputs, weightsOf(job, flags))) : undefined
  await Promise.all(sends)
  return reducedOf(call, job, inputs, flags, found)
}

async function streamed(call: Call, job: AllReduceJob, inputs: readonly Vector[]): Promise<Reduced> {
  const weights = new Float64Array(call.size).fill(1)
  const sends: Promise<void>[] = []
  const spoken = flagsBehind(call, job, sends)
  const arrivals = new Arrivals(call, call.size - 1, job.layout.dtype.byteLength)
  const receives = peersOf(call).map((peer, i) => arrivals.of(i, peer, STEP_DATA, inputs[peer]!.parts))
  sends.push(...peersOf(call).map((peer) => call.send(peer, STEP_DATA, job.data.parts)))
  spoken.catch((error: unknown) => arrivals.fail(error))
  const work = { ...workOf(call, job, inputs, weights, STREAM_CALL_BYTE_LENGTH), arrival: arrivals }
  const found = await job.reducer.reduce(work)
  const flags = await spoken
  await Promise.all([...receives, ...sends])
  return reducedOf(call, job, inputs, flags, found)
}

/** What every rank says of its input, in messages of their own behind it. */
async function flagsBehind(call: Call, job: AllReduceJob, sends: Promise<void>[]): Promise<Uint8Array> {
  const flags = new Uint8Array(call.size)
  if (!looksFirst(call, job)) return flags
  const receives = peersOf(call).map((peer) => call.receive(peer, STEP_FLAGS, []))
  flags[call.rank] = await scan(call, job)
  job.check()
  sends.push(...peersOf(call).map((peer) => call.send(peer, STEP_FLAGS, [], flags[call.rank])))
  const theirs = await Promise.all(receives)
  peersOf(call).forEach((peer, i) => (flags[peer] = theirs[i]!))
  return flags
}

function inputsOf(call: Call, { data }: AllReduceJob, scratch: Scratch): Vector[] {
  return Array.from({ length: call.size }, (_, rank) =>
    rank === call.rank ? data : Vector.of(scratch(data.byteLength)),
  )
}

function weightsOf(job: AllReduceJob, flags: Uint8Array): Float64Array {
  return Float64Array.from(flags.keys(), (of) => countPresent(job, flags.subarray(of, of + 1)))
}

function targetOf(call: Call, job: AllReduceJob, inputs: readonly Vector[]): Vector {
  return job.out ?? (call.size > 1 ? inputs[peersOf(call)[0]!]! : job.data)
}

function workOf(
  call: Call,
  job: AllReduceJob,
  inputs: readonly Vector[],
  weights: Float64Array,
  callByteLength?: number,
) {
  const { layout, resultDtype, check } = job
  const { elementCount, dtype } = layout
  const elementsIn = (byteLength?: number): number => chunkElementCount(dtype.byteLength, call.size, byteLength)
  const slice = sliceOf(layout, 0, elementCount, elementsIn(), elementsIn(callByteLength))
  const out = targetOf(call, job, inputs)
  return { layout, resultDtype, slice, inputs, weights, out, memory: 'caller', check, observer: call } as const
}

function reducedOf(
  call: Call,
  job: AllReduceJob,
  inputs: readonly Vector[],
  flags: Uint8Array,
  found: SliceStatistics | undefined,
): Reduced {
  if (!found) return { result: undefined, statistics: nothingPresent(job, call.size), flags, isSuspect: false }
  const width = reportWidth(job.statistics, call.size)
  const statistics = emptySegmentRows(job.layout.segmentElementCounts.length, width)
  reportRows(statistics, width, found, call.size)
  return { result: targetOf(call, job, inputs), statistics, flags, isSuspect: isSuspect(call, job, found, call.size) }
}
