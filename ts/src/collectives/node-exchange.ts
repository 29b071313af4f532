/**
 * The Gram exchange: ranks that share a segment send each other their tree nodes of it, all-to-all, and add them up in
 * the same order, so that all get the same bits. Two ranks share one segment at most, since slices are contiguous.
 */
import type { Call } from '../group/call.ts'
import type { NodePart } from '../kernels/reduce.ts'
import type { Exchange } from '../kernels/run.ts'
import { type Slice, chunkElementCount, runsOf, sliceOf } from '../kernels/slice.ts'
import { bytesOf } from '../tensor/check.ts'
import type { Layout } from '../tensor/layout.ts'
import type { Reducer } from './reducer.ts'

const STEP_NODES = 1
/** Steps of refinement rounds, which are counted from 1. */
const STEP_REFINEMENT = 16

export function nodeExchange(call: Call, layout: Layout, begins: Float64Array, reducer: Reducer): Exchange {
  const chunkElements = chunkElementCount(layout.dtype.byteLength, call.size)
  return async (round, parts) => {
    const step = round === 0 ? STEP_NODES : STEP_REFINEMENT + round
    return Promise.all(parts.map((part) => exchangePart(call, layout, begins, reducer, chunkElements, step, part)))
  }
}

async function exchangePart(
  call: Call,
  layout: Layout,
  begins: Float64Array,
  reducer: Reducer,
  chunkElements: number,
  step: number,
  part: NodePart,
): Promise<NodePart> {
  const bytes = bytesOf(part.nodes)
  const pending: Promise<unknown>[] = []
  const all = sharers(layout, begins, part.segment).map(({ rank, begin, end }) => {
    if (rank === call.rank) return part
    const slice = sliceOf(layout, begin, end, chunkElements)
    const nodes = new Float64Array(reducer.nodeCount(slice.pieces) * part.productCount)
    pending.push(call.receive(rank, step, [bytesOf(nodes)]), call.send(rank, step, [bytes]))
    return { ...part, runs: runsOfSlice(slice), nodes }
  })
  await Promise.all(pending)
  return { ...part, runs: join(all.map(({ runs }) => runs)), nodes: join(all.map(({ nodes }) => nodes)) }
}

/** The ranks whose slices hold elements of a segment, and which elements of the vector. */
function sharers(
  layout: Layout,
  begins: Float64Array,
  segment: number,
): { rank: number; begin: number; end: number }[] {
  const [first, last] = [layout.segmentBegins[segment]!, layout.segmentBegins[segment + 1]!]
  return Array.from({ length: begins.length - 1 }, (_, rank) => ({
    rank,
    begin: Math.max(first, begins[rank]!),
    end: Math.min(last, begins[rank + 1]!),
  })).filter(({ begin, end }) => begin < end)
}

function runsOfSlice(slice: Slice): Float64Array {
  return runsOf(slice, 0, slice.segments.length)
}

function join(arrays: readonly Float64Array[]): Float64Array {
  const whole = new Float64Array(arrays.reduce((sum, array) => sum + array.length, 0))
  let at = 0
  for (const array of arrays) {
    whole.set(array, at)
    at += array.length
  }
  return whole
}
