/**
 * The direct schedule: every rank sends its whole vector to every other, and reduces it all by itself. What ranks of one
 * machine send each other is read where it lies, and costs no memory.
 *
 * Long vectors are reduced while they come, segment by segment, each piece while the cache still has it. If a rank has to
 * say something of its input, that then comes after the input, so that nobody waits for it to be scanned. (Not where inputs
 * may be left out: who takes part must be known first.)
 */
import { type Call, type Incoming, peersOf } from '../group/call.ts'
import { type SliceStatistics, emptySegmentRows, reportRows } from '../kernels/reduce.ts'
import { chunkElementCount, longCallElementCount, sliceOf } from '../kernels/slice.ts'
import { Vector } from '../tensor/vector.ts'
import { Arrivals } from './arrival.ts'
import { type AllReduceJob, type Reduced, type Scratch, reportWidth } from './job.ts'
import { countPresent, isRefused, isSuspect, looksFirst, nothingPresent, scan } from './non-finite.ts'
import { type Stretch, passageOf, received } from './passage.ts'

const STEP_DATA = 0
const STEP_FLAGS = 1

/** What comes is reduced in calls of so many bytes of all inputs: the second-level cache still has them. */
const STREAM_CALL_BYTE_LENGTH = 1 << 20

/** A call's memory and where its vectors lie. */
interface Run {
  readonly call: Call
  readonly job: AllReduceJob
  readonly scratch: Scratch
  /** Memory for vectors that come through a connection, or are made of codes. */
  readonly rooms: Uint8Array[]
}

export function reduceDirect(call: Call, job: AllReduceJob, scratch: Scratch): Promise<Reduced> {
  const run = { call, job, scratch, rooms: [] }
  if (job.compression) return quantized(run)
  const isLong = call.size > 1 && job.data.byteLength >= call.tuning.streamByteLength
  return (isLong && job.onNonFinite !== 'skip' ? streamed : atOnce)(run)
}

async function atOnce(run: Run): Promise<Reduced> {
  const { call, job } = run
  const flags = new Uint8Array(call.size)
  const exchange = call.begin('exchange')
  const incoming = peersOf(call).map((peer) => call.borrow(peer, STEP_DATA, job.data.byteLength, () => room(run)))
  flags[call.rank] = await scan(call, job)
  job.check()
  const sends = peersOf(call).map((peer) => call.send(peer, STEP_DATA, job.data.parts, flags[call.rank]))
  const theirs = await Promise.all(incoming.map(({ received }) => received))
  call.end(exchange)
  peersOf(call).forEach((peer, i) => (flags[peer] = theirs[i]!.rankFlags))
  const target = targetOf(run)
  const found = await reducePresent(run, await inputsOf(run, incoming), flags, target)
  await Promise.all([...incoming.map(finish), ...sends])
  return reducedOf(run, target, flags, found)
}

/** As above, but what is sent is codes: the own input, too, becomes what they stand for. */
async function quantized(run: Run): Promise<Reduced> {
  const { call, job, scratch } = run
  const flags = new Uint8Array(call.size)
  const passage = passageOf(job, scratch)
  const whole = { begin: 0, end: job.layout.elementCount }
  const inputs = Array.from({ length: call.size }, () => new Vector(room(run)))
  const stretch = (rank: number): Stretch => ({ ...whole, vector: inputs[rank]!, memory: 'pool' })
  const exchange = call.begin('exchange')
  const receives = peersOf(call).map((peer) => {
    const incoming = passage.incoming(stretch(peer))
    return received(call.receive(peer, STEP_DATA, incoming.parts), incoming)
  })
  flags[call.rank] = await scan(call, job)
  job.check()
  const held = { ...whole, vector: job.data, memory: 'caller' } as const
  const isRead = countPresent(job, flags.subarray(call.rank, call.rank + 1)) > 0
  const departure = isRead ? await passage.depart(0, held) : passage.departUnread(held)
  const sends = peersOf(call).map((peer) => call.send(peer, STEP_DATA, departure.between(whole), flags[call.rank]))
  await departure.keep(stretch(call.rank))
  const theirs = await Promise.all(receives)
  call.end(exchange)
  peersOf(call).forEach((peer, i) => (flags[peer] = theirs[i]!))
  const target = targetOf(run)
  const found = await reducePresent(run, inputs, flags, target)
  await Promise.all(sends)
  return reducedOf(run, target, flags, found)
}

async function reducePresent(
  run: Run,
  inputs: readonly Vector[],
  flags: Uint8Array,
  target: Vector,
): Promise<SliceStatistics | undefined> {
  const { job } = run
  const hasResult = !isRefused(job, flags) && countPresent(job, flags) > 0
  return hasResult ? job.reducer.reduce(workOf(run, inputs, weightsOf(job, flags), target)) : undefined
}

async function streamed(run: Run): Promise<Reduced> {
  const { call, job } = run
  const weights = new Float64Array(call.size).fill(1)
  const sends: Promise<void>[] = []
  const spoken = flagsBehind(call, job, sends)
  const arrivals = new Arrivals(call, call.size - 1, job.layout.dtype.byteLength)
  const { byteLength } = job.data
  const incoming = peersOf(call).map((from, i) =>
    arrivals.borrow(i, { from, step: STEP_DATA, byteLength, memory: () => room(run) }),
  )
  sends.push(...peersOf(call).map((peer) => call.send(peer, STEP_DATA, job.data.parts)))
  spoken.catch((error: unknown) => arrivals.fail(error))
  const inputs = await inputsOf(run, incoming)
  const target = targetOf(run)
  const callElements = callElementsOf(run)
  const work = { ...workOf(run, inputs, weights, target, callElements), arrival: arrivals }
  const found = await job.reducer.reduce(work)
  const flags = await spoken
  await Promise.all([...incoming.map(finish), ...sends])
  return reducedOf(run, target, flags, found)
}

/** Whether they come through connections, or all lie somewhere already, is known by now. */
function callElementsOf({ call, job, rooms }: Run): number | undefined {
  const { dtype, elementCount } = job.layout
  if (rooms.length > 0) return chunkElementCount(dtype.byteLength, call.size, STREAM_CALL_BYTE_LENGTH)
  return job.reducer.isSinglePass ? longCallElementCount(dtype.byteLength, elementCount) : undefined
}

/** The sender may change it. */
async function finish({ received }: Incoming): Promise<void> {
  await (await received).finish()
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

function room({ job, scratch, rooms }: Run): Uint8Array[] {
  const bytes = scratch(job.data.byteLength)
  rooms.push(bytes)
  return [bytes]
}

/** In rank order, as soon as it is known where they lie. */
async function inputsOf({ call, job }: Run, incoming: readonly Incoming[]): Promise<Vector[]> {
  const inputs: Vector[] = []
  inputs[call.rank] = job.data
  const theirs = await Promise.all(incoming.map(({ parts }) => parts))
  peersOf(call).forEach((peer, i) => (inputs[peer] = new Vector(theirs[i]!)))
  return inputs
}

function weightsOf(job: AllReduceJob, flags: Uint8Array): Float64Array {
  return Float64Array.from(flags.keys(), (of) => countPresent(job, flags.subarray(of, of + 1)))
}

/** The place of an input that came, if there is one: never one of a peer's own. */
function targetOf({ call, job, scratch, rooms }: Run): Vector {
  if (job.out) return job.out
  return call.size > 1 ? Vector.of(rooms[0] ?? scratch(job.data.byteLength)) : job.data
}

function workOf(
  { call, job }: Run,
  inputs: readonly Vector[],
  weights: Float64Array,
  out: Vector,
  callElements?: number,
) {
  const { layout, resultDtype, check } = job
  const { elementCount, dtype } = layout
  const slice = sliceOf(layout, 0, elementCount, chunkElementCount(dtype.byteLength, call.size), callElements)
  return { layout, resultDtype, slice, inputs, weights, out, memory: 'caller', check, observer: call } as const
}

function reducedOf({ call, job }: Run, result: Vector, flags: Uint8Array, found: SliceStatistics | undefined): Reduced {
  if (!found) return { result: undefined, statistics: nothingPresent(job, call.size), flags, isSuspect: false }
  const width = reportWidth(job.statistics, call.size)
  const statistics = emptySegmentRows(job.layout.segmentElementCounts.length, width)
  reportRows(statistics, width, found, call.size)
  return { result, statistics, flags, isSuspect: isSuspect(call, job, found, call.size) }
}
