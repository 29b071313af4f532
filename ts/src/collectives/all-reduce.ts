/**
 * All-reduce by the direct and the single-shot schedule.
 *
 * The caller's input is only read. Results gather in `out` if the caller gave one, which sockets may then fill at any
 * time; otherwise in scratch memory, and are copied once nothing can fail any more, so that a failure leaves the
 * caller's buffer as it was.
 */
import { AdasumError } from '../errors.ts'
import { type Call, peersOf } from '../group/call.ts'
import { NOT_FINITE } from '../group/descriptor.ts'
import { AgreedFailure } from '../group/group.ts'
import { type SliceStatistics, emptySegmentRows, reportRows } from '../kernels/reduce.ts'
import { chunkElementCount, sliceOf } from '../kernels/slice.ts'
import { bytesOf } from '../tensor/check.ts'
import type { Dtype } from '../tensor/dtype.ts'
import type { Layout } from '../tensor/layout.ts'
import type { ScratchPool } from '../tensor/scratch.ts'
import type { OnNonFinite } from '../types.ts'
import { nodeExchange } from './node-exchange.ts'
import type { Reducer } from './reducer.ts'
import { allReduceSchedule, segmentsBeginningIn, sliceBegins } from './schedule.ts'

const STEP_EXCHANGE = 0
const STEP_GATHER = 2

export interface AllReduceJob {
  readonly layout: Layout
  /** The dtype of the result: the layout's, or f32 in `out` where that is a half format. */
  readonly resultDtype: Dtype
  readonly reducer: Reducer
  readonly onNonFinite: OnNonFinite
  /** This rank's vector; read until the result is committed, then overwritten unless there is an `out`. */
  readonly data: Uint8Array
  /** Receives the result, and anything at all if the call fails. */
  readonly out: Uint8Array | undefined
  /** What every rank is to know of every segment. */
  readonly statistics: 'none' | 'orthogonality' | 'coefficients'
  readonly scratch: ScratchPool
  /** Throws if the caller's memory has been transferred away. */
  readonly check: () => void
}

export interface AllReduceOutcome {
  /** A row for each segment: nothing, orthogonality, or that and then a coefficient for each rank. */
  readonly statistics: Float64Array
  readonly nonFiniteRanks: number[]
}

export async function allReduce(call: Call, job: AllReduceJob): Promise<AllReduceOutcome> {
  const held: Uint8Array[] = []
  const scratch = (byteLength: number): Uint8Array => {
    const bytes = job.scratch.acquire(byteLength)
    held.push(bytes)
    return bytes
  }
  const schedule = allReduceSchedule(call.size, job.data.length) === 'direct' ? direct : singleShot
  try {
    return await schedule(call, job, scratch)
  } catch (error) {
    // After any other failure it is not given back: a connection may still be filling it.
    if (!(error instanceof AgreedFailure)) held.length = 0
    throw error
  } finally {
    for (const bytes of held) job.scratch.release(bytes)
  }
}

type Scratch = (byteLength: number) => Uint8Array

async function direct(call: Call, job: AllReduceJob, scratch: Scratch): Promise<AllReduceOutcome> {
  const { layout, resultDtype, data, check } = job
  const inputs: Uint8Array[] = []
  inputs[call.rank] = data
  const receives = peersOf(call).map((peer) =>
    call.receive(peer, STEP_EXCHANGE, [(inputs[peer] = scratch(data.length))]),
  )
  const mine = await scan(job)
  check()
  const sends = peersOf(call).map((peer) => call.send(peer, STEP_EXCHANGE, [data], mine))
  const { weights, nonFiniteRanks } = await agree(call, job, mine, receives, sends)
  const target = job.out ?? (call.size > 1 ? inputs[peersOf(call)[0]!]! : data)
  if (weights.includes(1)) {
    const slice = sliceOf(layout, 0, layout.elementCount, chunkElementCount(layout.dtype.byteLength, call.size))
    const work = { layout, resultDtype, slice, inputs, weights, out: target, memory: 'caller', check } as const
    const result = await job.reducer.reduce(work)
    await Promise.all(sends)
    check()
    if (!job.out && target !== data) data.set(target)
    const rows = new Rows(job, call.size, Float64Array.of(0, layout.elementCount))
    rows.fill(result)
    return { statistics: rows.values, nonFiniteRanks }
  }
  await Promise.all(sends)
  return nothingPresent(call, job, nonFiniteRanks)
}

async function singleShot(call: Call, job: AllReduceJob, scratch: Scratch): Promise<AllReduceOutcome> {
  const { layout, resultDtype, data, out, check } = job
  const begins = sliceBegins(layout, call.size)
  const rows = new Rows(job, call.size, begins)
  const plan: SingleShot = { call, job, rows, begins, range: rangesOf(begins, layout.dtype) }
  const resultRange = rangesOf(begins, resultDtype)
  const [begin, end] = plan.range(call.rank)
  const own = scratch(end - begin)
  // A result of another dtype does not fit where the inputs were.
  const result = resultDtype === layout.dtype ? own : scratch(byteLengthOf(resultRange(call.rank)))
  // The slices received make room for the gathered result once they are combined.
  const room = scratch(Math.max((call.size - 1) * own.length, out ? 0 : data.length - own.length))
  const gathers = out ? gather(plan, partsOf(out, call.size, resultRange)) : undefined
  const { weights, nonFiniteRanks, inputs, sends } = await exchangeSlices(plan, own, room)
  if (!weights.includes(1)) {
    await Promise.all(sends)
    return nothingPresent(call, job, nonFiniteRanks)
  }
  await reduceOwn(plan, inputs, weights, result)
  const results = slots(call, room, (rank) => byteLengthOf(plan.range(rank)))
  const arrivals = gathers ?? gather(plan, results)
  sends.push(...peersOf(call).map((peer) => call.send(peer, STEP_GATHER, [result, rows.bytesOf(call.rank)])))
  await Promise.all([...arrivals, ...sends])
  check()
  if (out) out.set(result, resultRange(call.rank)[0])
  else {
    data.set(own, begin)
    for (const peer of peersOf(call)) data.set(results[peer]!, plan.range(peer)[0])
  }
  return { statistics: rows.values, nonFiniteRanks }
}

interface SingleShot {
  readonly call: Call
  readonly job: AllReduceJob
  readonly rows: Rows
  readonly begins: Float64Array
  /** Where a rank's slice of the input lies. */
  readonly range: Ranges
}

type Ranges = (rank: number) => [begin: number, end: number]

/** Where each rank's slice lies, in bytes of a vector of that dtype. */
function rangesOf(begins: Float64Array, { byteLength }: Dtype): Ranges {
  return (rank) => [begins[rank]! * byteLength, begins[rank + 1]! * byteLength]
}

const byteLengthOf = ([begin, end]: [number, number]): number => end - begin

function partsOf(bytes: Uint8Array, count: number, ranges: Ranges): Uint8Array[] {
  return Array.from({ length: count }, (_, rank) => bytes.subarray(...ranges(rank)))
}

/** Every rank's slice to its owner; this rank's own input slice goes into `own`, the others' into `room`. */
async function exchangeSlices({ call, job, range }: SingleShot, own: Uint8Array, room: Uint8Array) {
  const { data, check } = job
  const inputs = slots(call, room, () => own.length)
  const receives = peersOf(call).map((peer) => call.receive(peer, STEP_EXCHANGE, [inputs[peer]!]))
  const mine = await scan(job)
  check()
  own.set(data.subarray(...range(call.rank)))
  inputs[call.rank] = own
  const sends = peersOf(call).map((peer) => call.send(peer, STEP_EXCHANGE, [data.subarray(...range(peer))], mine))
  return { ...(await agree(call, job, mine, receives, sends)), inputs, sends }
}

async function reduceOwn(
  { call, job, rows, begins }: SingleShot,
  inputs: readonly Uint8Array[],
  weights: Float64Array,
  out: Uint8Array,
): Promise<void> {
  const { layout, resultDtype, reducer, check } = job
  const chunkElements = chunkElementCount(layout.dtype.byteLength, call.size)
  const slice = sliceOf(layout, begins[call.rank]!, begins[call.rank + 1]!, chunkElements)
  const exchange = nodeExchange(call, layout, begins, reducer)
  rows.fill(await reducer.reduce({ layout, resultDtype, slice, inputs, weights, out, memory: 'pool', check, exchange }))
}

/** Every rank's slice of the result, and its rows of statistics. */
function gather({ call, rows }: SingleShot, into: readonly Uint8Array[]): Promise<number>[] {
  return peersOf(call).map((peer) => call.receive(peer, STEP_GATHER, [into[peer]!, rows.bytesOf(peer)]))
}

/** Consecutive parts of `room` for all ranks but this one. */
function slots(call: Call, room: Uint8Array, byteLengthOf: (rank: number) => number): Uint8Array[] {
  const parts: Uint8Array[] = []
  let at = 0
  for (let rank = 0; rank < call.size; rank++)
    parts[rank] = rank === call.rank ? new Uint8Array(0) : room.subarray(at, (at += byteLengthOf(rank)))
  return parts
}

async function scan({ onNonFinite, reducer, layout, data, check }: AllReduceJob): Promise<number> {
  const found = onNonFinite !== 'propagate' && (await reducer.hasNonFinite(layout, data, check))
  return found ? NOT_FINITE : 0
}

/** From every rank's flags, which all ranks see alike, to who takes part (weight 1) and who does not (0). */
async function agree(
  call: Call,
  job: AllReduceJob,
  mine: number,
  receives: readonly Promise<number>[],
  sends: readonly Promise<void>[],
): Promise<{ weights: Float64Array; nonFiniteRanks: number[] }> {
  const flags = await Promise.all(receives)
  const bits: number[] = []
  bits[call.rank] = mine
  peersOf(call).forEach((peer, i) => (bits[peer] = flags[i]!))
  const nonFiniteRanks = [...bits.keys()].filter((rank) => (bits[rank]! & NOT_FINITE) !== 0)
  if (job.onNonFinite === 'throw' && nonFiniteRanks.length > 0) {
    // The caller gets its memory back now.
    await Promise.all(sends)
    throw nonFiniteFailure(call, nonFiniteRanks)
  }
  const absent = job.onNonFinite === 'skip' ? nonFiniteRanks : []
  return { weights: Float64Array.from(bits, (_, rank) => (absent.includes(rank) ? 0 : 1)), nonFiniteRanks }
}

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
function nothingPresent(call: Call, job: AllReduceJob, nonFiniteRanks: number[]): AllReduceOutcome {
  job.check()
  if (job.out) job.reducer.convert(job.layout, job.data, job.resultDtype, job.out)
  const rows = new Rows(job, call.size, new Float64Array(0))
  return { statistics: rows.values.fill(NaN), nonFiniteRanks }
}

/**
 * A row of statistics for each segment. They ride on the all-gather: each rank reports the segments that begin in its
 * slice. Ranks that share a segment know the same bits of it, so it does not matter who wrote a row first.
 */
class Rows {
  readonly values: Float64Array
  readonly #width: number
  readonly #size: number
  readonly #layout: Layout
  readonly #begins: Float64Array

  constructor({ layout, statistics }: AllReduceJob, size: number, begins: Float64Array) {
    this.#size = size
    this.#width = { none: 0, orthogonality: 1, coefficients: 1 + size }[statistics]
    this.#layout = layout
    this.#begins = begins
    this.values = emptySegmentRows(layout.segmentElementCounts.length, this.#width)
  }

  fill(statistics: SliceStatistics): void {
    reportRows(this.values, this.#width, statistics, this.#size)
  }

  bytesOf(rank: number): Uint8Array {
    const [from, to] = segmentsBeginningIn(this.#layout, this.#begins[rank]!, this.#begins[rank + 1]!)
    return bytesOf(this.values.subarray(from * this.#width, to * this.#width))
  }
}
