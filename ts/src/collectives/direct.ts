/**
 * The direct schedule: every rank sends its whole vector to every other, and reduces it all by itself.
 *
 * Long vectors are reduced while they come: sums as far as all of them are there, and of adasum the Gram matrices of large
 * segments, each chunk still in the cache. Then what a rank says of its input comes after the input, so that nobody waits
 * for it to be scanned; until all have spoken, no result is written.
 */
import { type Call, peersOf } from '../group/call.ts'
import { AgreedFailure } from '../group/group.ts'
import { type SliceStatistics, emptySegmentRows, reportRows } from '../kernels/reduce.ts'
import { chunkElementCount, sliceOf } from '../kernels/slice.ts'
import { Arrivals } from './arrival.ts'
import { type AllReduceJob, type AllReduceOutcome, type Scratch, reportWidth } from './job.ts'
import { agree, countPresent, nothingPresent, scan } from './non-finite.ts'

const STEP_DATA = 0
const STEP_FLAGS = 1

export function allReduceDirect(call: Call, job: AllReduceJob, scratch: Scratch): Promise<AllReduceOutcome> {
  const isLong = call.size > 1 && job.data.length >= call.tuning.streamByteLength
  return (isLong ? streamed : atOnce)(call, job, scratch)
}

async function atOnce(call: Call, job: AllReduceJob, scratch: Scratch): Promise<AllReduceOutcome> {
  const { data, check } = job
  const inputs = inputsOf(call, job, scratch)
  const flags = new Uint8Array(call.size)
  const receives = peersOf(call).map((peer) => call.receive(peer, STEP_DATA, [inputs[peer]!]))
  flags[call.rank] = await scan(job)
  check()
  const sends = peersOf(call).map((peer) => call.send(peer, STEP_DATA, [data], flags[call.rank]))
  const found = await Promise.all(receives)
  peersOf(call).forEach((peer, i) => (flags[peer] = found[i]!))
  const nonFiniteRanks = await agree(call, job, flags, sends)
  if (countPresent(job, flags) === 0) {
    await Promise.all(sends)
    return nothingPresent(call, job, nonFiniteRanks)
  }
  const result = await job.reducer.reduce(workOf(call, job, inputs, weightsOf(job, flags)))
  await Promise.all(sends)
  return finish(call, job, inputs, result, nonFiniteRanks)
}

async function streamed(call: Call, job: AllReduceJob, scratch: Scratch): Promise<AllReduceOutcome> {
  const { layout, reducer, data } = job
  const inputs = inputsOf(call, job, scratch)
  const weights = new Float64Array(call.size).fill(1)
  const sends: Promise<void>[] = []
  const known = agreeAfterwards(call, job, sends)
  const mayWrite = known.then((flags) => {
    weights.set(weightsOf(job, flags))
    if (countPresent(job, flags) === 0) throw new NothingPresent()
  })
  const arrivals = new Arrivals(call.size - 1, layout.dtype.byteLength, mayWrite)
  const receives = peersOf(call).map((peer, i) =>
    call.receive(peer, STEP_DATA, [inputs[peer]!], (filled) => arrivals.advance(i, filled)),
  )
  sends.push(...peersOf(call).map((peer) => call.send(peer, STEP_DATA, [data])))
  for (const promise of [...receives, mayWrite]) promise.catch((error: unknown) => arrivals.fail(error))
  const work = { ...workOf(call, job, inputs, weights), arrival: arrivals }
  const result = await reducer.reduce(work).catch((error: unknown) => {
    // What all ranks agree on is told when the connections have let go of the memory.
    if (!(error instanceof NothingPresent || error instanceof AgreedFailure)) throw error
  })
  await Promise.all([...receives, ...sends])
  const nonFiniteRanks = await agree(call, job, await known, sends)
  if (!result) return nothingPresent(call, job, nonFiniteRanks)
  return finish(call, job, inputs, result, nonFiniteRanks)
}

/** All inputs were left out: there is no result. */
class NothingPresent extends Error {}

/** What every rank says of its input, in messages of their own behind it; throws if such inputs are refused. */
async function agreeAfterwards(call: Call, job: AllReduceJob, sends: Promise<void>[]): Promise<Uint8Array> {
  const flags = new Uint8Array(call.size)
  if (job.onNonFinite === 'propagate') return flags
  const receives = peersOf(call).map((peer) => call.receive(peer, STEP_FLAGS, []))
  flags[call.rank] = await scan(job)
  job.check()
  sends.push(...peersOf(call).map((peer) => call.send(peer, STEP_FLAGS, [], flags[call.rank])))
  const found = await Promise.all(receives)
  peersOf(call).forEach((peer, i) => (flags[peer] = found[i]!))
  await agree(call, job, flags, sends)
  return flags
}

function inputsOf(call: Call, { data }: AllReduceJob, scratch: Scratch): Uint8Array[] {
  return Array.from({ length: call.size }, (_, rank) => (rank === call.rank ? data : scratch(data.length)))
}

function weightsOf(job: AllReduceJob, flags: Uint8Array): Float64Array {
  return Float64Array.from(flags.keys(), (of) => countPresent(job, flags.subarray(of, of + 1)))
}

function targetOf(call: Call, job: AllReduceJob, inputs: readonly Uint8Array[]): Uint8Array {
  return job.out ?? (call.size > 1 ? inputs[peersOf(call)[0]!]! : job.data)
}

function workOf(call: Call, job: AllReduceJob, inputs: readonly Uint8Array[], weights: Float64Array) {
  const { layout, resultDtype, check } = job
  const slice = sliceOf(layout, 0, layout.elementCount, chunkElementCount(layout.dtype.byteLength, call.size))
  const out = targetOf(call, job, inputs)
  return { layout, resultDtype, slice, inputs, weights, out, memory: 'caller', check } as const
}

function finish(
  call: Call,
  job: AllReduceJob,
  inputs: readonly Uint8Array[],
  result: SliceStatistics,
  nonFiniteRanks: number[],
): AllReduceOutcome {
  job.check()
  const target = targetOf(call, job, inputs)
  if (!job.out && target !== job.data) job.data.set(target)
  const width = reportWidth(job.statistics, call.size)
  const statistics = emptySegmentRows(job.layout.segmentElementCounts.length, width)
  reportRows(statistics, width, result, call.size)
  return { statistics, nonFiniteRanks }
}
