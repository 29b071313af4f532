/**
 * The Gram exchange: ranks that share a segment put their tree nodes of it together, in the same order everywhere, so
 * that all get the same bits. Two ranks share one segment at most, since intervals are contiguous.
 *
 * Up to 16 sharers send each other their nodes. If there are more, one of them adds up the nodes of all and returns the
 * segment's root; segments take turns in who that is.
 */
import { concatDoubles } from '../../kernels/doubles.ts'
import type { Exchange } from '../../kernels/run.ts'
import { chunkElementCount, runsOf, sliceOf } from '../../kernels/slice.ts'
import type { NodePart } from '../../kernels/work.ts'
import { bytesOf } from '../../tensor/check.ts'
import type { Layout } from '../../tensor/layout.ts'
import type { Peers } from '../peers.ts'
import type { Reducer } from '../reducer.ts'
import type { Level } from '../schedule/level-plan.ts'

/** The most sharers of a segment that all send to each other. */
const MOST_SHARERS = 16

interface Context {
  readonly call: Peers
  readonly layout: Layout
  readonly level: Level
  readonly reducer: Reducer
}

/** A rank, and the elements of the vector that it has of a segment. */
interface Sharer {
  readonly rank: number
  readonly begin: number
  readonly end: number
}

export function gramExchange(call: Peers, layout: Layout, level: Level, reducer: Reducer, firstStep: number): Exchange {
  const context = { call, layout, level, reducer }
  return async (round, parts) => {
    const span = call.begin('gram')
    const found = await Promise.all(
      parts.map((part) => {
        const sharers = sharersOf(context, part.segment)
        const exchange = sharers.length <= MOST_SHARERS ? toAll : throughOne
        return exchange(context, firstStep + round, part, sharers)
      }),
    )
    call.end(span)
    return found
  }
}

/** All sharers send their nodes to each other, and each adds them up by itself. */
async function toAll(context: Context, step: number, part: NodePart, sharers: readonly Sharer[]): Promise<NodePart> {
  const { call } = context
  const pending: Promise<unknown>[] = []
  const all = sharers.map((sharer) => {
    if (sharer.rank === call.rank) return part
    const theirs = emptyPart(context, part, sharer)
    pending.push(call.receive(sharer.rank, step, [bytesOf(theirs.nodes)]))
    pending.push(call.send(sharer.rank, step, [bytesOf(part.nodes)]))
    return theirs
  })
  await Promise.all(pending)
  return joinParts(part, all)
}

/** All sharers send their nodes to one, which adds them up for all. */
async function throughOne(
  context: Context,
  step: number,
  part: NodePart,
  sharers: readonly Sharer[],
): Promise<NodePart> {
  const { call, layout, reducer } = context
  const chosen = sharers[part.segment % sharers.length]!.rank
  const elementCount = layout.segmentElementCounts[part.segment]!
  const whole = (nodes: Float64Array): NodePart => ({ ...part, runs: Float64Array.of(0, elementCount), nodes })
  if (call.rank !== chosen) {
    const root = new Float64Array(part.productCount)
    const answer = call.receive(chosen, step, [bytesOf(root)])
    await Promise.all([call.send(chosen, step, [bytesOf(part.nodes)]), answer])
    return whole(root)
  }
  const all = sharers.map((sharer) => (sharer.rank === chosen ? part : emptyPart(context, part, sharer)))
  const others = sharers.filter(({ rank }) => rank !== chosen)
  await Promise.all(
    sharers.flatMap(({ rank }, i) => (rank === chosen ? [] : call.receive(rank, step, [bytesOf(all[i]!.nodes)]))),
  )
  const { runs, nodes } = joinParts(part, all)
  const root = reducer.addNodes(elementCount, runs, nodes, part.productCount)
  await Promise.all(others.map(({ rank }) => call.send(rank, step, [bytesOf(root)])))
  return whole(root)
}

/** The ranks whose intervals hold elements of a segment, in the order of the elements. */
export function sharersOf({ layout, level }: Pick<Context, 'layout' | 'level'>, segment: number): Sharer[] {
  const { owners, begins } = level
  const [first, last] = [layout.segmentBegins[segment]!, layout.segmentBegins[segment + 1]!]
  const sharers: Sharer[] = []
  for (let index = 0; index < owners.length && begins[index]! < last; index++) {
    const [begin, end] = [Math.max(first, begins[index]!), Math.min(last, begins[index + 1]!)]
    if (begin < end) sharers.push({ rank: owners[index]!, begin, end })
  }
  return sharers
}

/** Another rank's part, with room for its nodes. */
function emptyPart({ layout, level, reducer }: Context, part: NodePart, { begin, end }: Sharer): NodePart {
  const slice = sliceOf(layout, begin, end, chunkElementCount(layout.dtype.byteLength, level.inputs.length))
  const nodes = new Float64Array(reducer.nodeCount(slice.pieces) * part.productCount)
  return { ...part, runs: runsOf(slice, 0, slice.segments.length), nodes }
}

function joinParts(part: NodePart, all: readonly NodePart[]): NodePart {
  const [runs, nodes] = [all.map((each) => each.runs), all.map((each) => each.nodes)]
  return { ...part, runs: concatDoubles(runs), nodes: concatDoubles(nodes) }
}
