/**
 * The direct schedule: every rank sends its whole vector to every other, and reduces it all by itself. What ranks of
 * one machine send each other is read where it lies, and costs no memory.
 *
 * Long vectors are reduced while they come, segment by segment, each piece while the cache still has it.
 */
import { type Call, peersOf } from '../group/call.ts'
import type { SegmentRows } from '../kernels/segment-rows.ts'
import { chunkElementCount, longCallElementCount, sliceOf } from '../kernels/slice.ts'
import { newReport, reportStatistics } from '../kernels/statistics.ts'
import { Vector } from '../tensor/vector.ts'
import { compareStatistics } from './compare.ts'
import { codecOf } from './compression/codec.ts'
import { type InputExchange, type Inputs, exchangeInputs } from './inputs.ts'
import type { AllReduceJob, Reduced, Scratch } from './job.ts'
import { hasResult, isSuspect, nothingReduced } from './non-finite.ts'
import { type Presence, isAnyPresent, newPresence, weightsOf } from './presence.ts'

const STEP_DATA = 0
const STEP_FLAGS = 1
const STEP_COMPARE = 2

/** Bytes of all inputs together that one call reduces while they come: the second-level cache still has them. */
const STREAM_CALL_BYTE_LENGTH = 1 << 20

export async function reduceDirect(call: Call, job: AllReduceJob, scratch: Scratch): Promise<Reduced> {
  const rooms: Uint8Array[] = []
  const room = (): Uint8Array => {
    const bytes = scratch(job.data.byteLength)
    rooms.push(bytes)
    return bytes
  }
  const presence = newPresence(call, job.weight)
  const inputs = await exchangeInputs(exchangeOf(call, job, scratch, room), presence)
  // The result may take the place of an input that came here, but never that of one which lies with its peer.
  const result = job.out ?? (call.size > 1 ? Vector.of(rooms[0] ?? scratch(job.data.byteLength)) : job.data)
  await inputs.weightsReady
  const isReduced = inputs.arrival ? isAnyPresent(job, presence) : hasResult(job, presence)
  const found = isReduced ? await reduce(call, job, inputs, presence, result) : undefined
  await inputs.flagsReady
  await Promise.all([inputs.finish(), ...inputs.sends])
  if (!found) return nothingReduced(job, call.size, presence)
  const report = newReport(job.layout.segmentElementCounts.length, job.detail, call.size)
  reportStatistics(report, found)
  return { result, report, presence, isSuspect: isSuspect(call, job, found) }
}

function exchangeOf(call: Call, job: AllReduceJob, scratch: Scratch, room: () => Uint8Array): InputExchange {
  const whole = { begin: 0, end: job.layout.elementCount }
  const codec = codecOf(job, scratch)
  const isLong = call.size > 1 && job.data.byteLength >= call.tuning.streamByteLength
  return {
    call,
    job,
    codec,
    room,
    step: STEP_DATA,
    flagsStep: STEP_FLAGS,
    interval: whole,
    ownInput: call.rank,
    sources: peersOf(call).map((rank) => ({ rank, input: rank })),
    targets: peersOf(call).map((rank) => ({ rank, begin: 0, end: whole.end })),
    readsOwnInPlace: true,
    isStreamed: isLong && codec.isPlain && job.onNonFinite !== 'skip',
  }
}

function reduce(call: Call, job: AllReduceJob, inputs: Inputs, presence: Presence, out: Vector): Promise<SegmentRows> {
  const { layout, resultDtype, check } = job
  const { vectors, arrival } = inputs
  const weights = weightsOf(job, presence)
  const chunk = chunkElementCount(layout.dtype.byteLength, call.size)
  const slice = sliceOf(layout, 0, layout.elementCount, chunk, callElementsOf(call, job, inputs))
  return job.reducer.reduce({
    layout,
    resultDtype,
    slice,
    inputs: vectors,
    weights,
    out,
    withGram: job.detail === 'gram',
    memory: 'caller',
    check,
    observer: call,
    arrival,
    compare: compareStatistics(call, layout, STEP_COMPARE, () => [...peersOf(call), call.rank]),
  })
}

/** Called once it is known whether inputs come through connections or all lie somewhere already. */
function callElementsOf(call: Call, { layout, reducer }: AllReduceJob, inputs: Inputs): number | undefined {
  const { dtype, elementCount } = layout
  if (!inputs.arrival) return undefined
  if (!inputs.areElsewhere) return chunkElementCount(dtype.byteLength, call.size, STREAM_CALL_BYTE_LENGTH)
  return reducer.isSinglePass ? longCallElementCount(dtype.byteLength, elementCount) : undefined
}
