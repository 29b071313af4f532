/** The direct schedule: every rank sends its whole vector to every other, and reduces it all by itself. */
import { type Call, peersOf } from '../group/call.ts'
import { emptySegmentRows, reportRows } from '../kernels/reduce.ts'
import { chunkElementCount, sliceOf } from '../kernels/slice.ts'
import { type AllReduceJob, type AllReduceOutcome, type Scratch, reportWidth } from './job.ts'
import { agree, countPresent, nothingPresent, scan } from './non-finite.ts'

const STEP = 0

export async function allReduceDirect(call: Call, job: AllReduceJob, scratch: Scratch): Promise<AllReduceOutcome> {
  const { layout, resultDtype, data, check } = job
  const { rank, size } = call
  const inputs: Uint8Array[] = []
  inputs[rank] = data
  const flags = new Uint8Array(size)
  const receives = peersOf(call).map((peer) => call.receive(peer, STEP, [(inputs[peer] = scratch(data.length))]))
  flags[rank] = await scan(job)
  check()
  const sends = peersOf(call).map((peer) => call.send(peer, STEP, [data], flags[rank]))
  const found = await Promise.all(receives)
  peersOf(call).forEach((peer, i) => (flags[peer] = found[i]!))
  const nonFiniteRanks = await agree(call, job, flags, sends)
  if (countPresent(job, flags) === 0) {
    await Promise.all(sends)
    return nothingPresent(call, job, nonFiniteRanks)
  }
  const weights = Float64Array.from(flags.keys(), (of) => countPresent(job, flags.subarray(of, of + 1)))
  const target = job.out ?? (size > 1 ? inputs[peersOf(call)[0]!]! : data)
  const slice = sliceOf(layout, 0, layout.elementCount, chunkElementCount(layout.dtype.byteLength, size))
  const work = { layout, resultDtype, slice, inputs, weights, out: target, memory: 'caller', check } as const
  const result = await job.reducer.reduce(work)
  await Promise.all(sends)
  check()
  if (!job.out && target !== data) data.set(target)
  const width = reportWidth(job.statistics, size)
  const statistics = emptySegmentRows(layout.segmentElementCounts.length, width)
  reportRows(statistics, width, result, size)
  return { statistics, nonFiniteRanks }
}
