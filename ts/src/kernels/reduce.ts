/**
 * The reduction of a slice: gram -> coefficients -> combine, written once and run in three ways.
 *
 * The body is a generator. It yields batches of kernel calls, each at most a few milliseconds long, and exchanges of
 * Gram partials for segments that other ranks hold parts of; run.ts drives it synchronously, cooperatively on this
 * thread, or off-thread. The local functions and the collectives run this same body, hence their bits are the same.
 *
 * Small segments that lie wholly in the slice go through all three stages in one kernel call, while their data is still
 * in cache. For the other segments the first pass leaves tree nodes. The nodes of a segment are added up, its
 * coefficients follow, and a second pass combines it. Segments that are cut across ranks come last, after an exchange
 * of their nodes.
 *
 * Operators beyond Adasum have no such kernel. Their first pass leaves the nodes of small segments, too, and the second
 * combines all segments of a call.
 *
 * Where a tree node cancels so far that the Gram matrix has no digits left for it, the products of its vector are taken
 * directly (a refinement), in one more pass for each depth of such nodes.
 */
import { type Binding, OP_CODES } from '../binding/binding.ts'
import { type CallRange, batchesOf, byteSlice, byteSlices, isShared } from './calls.ts'
import { concatDoubles } from './doubles.ts'
import { statisticsByMatrix } from './matrix-rule.ts'
import { type Rule, pairsOf } from './rule.ts'
import type { SegmentRows } from './segment-rows.ts'
import { isWhole, longCallElementCount, pieceElementCount, piecesBetween, runsOf } from './slice.ts'
import { coefficientsOf, gramOf, newStatistics, statisticsWidth } from './statistics.ts'
import { blankAbsent, productCountOf } from './triangle.ts'
import type { KernelTask, NodePart, ReduceBody, ReduceStep, ReduceWork } from './work.ts'

interface CutSegment {
  readonly segment: number
  /** The first of its pieces in the slice, and the one after its last. */
  readonly from: number
  to: number
  /** The tree nodes of each piece. */
  readonly nodes: Float64Array[]
}

export function* reduceSlice(rule: Rule, work: ReduceWork, binding: Binding): ReduceBody {
  const isLinear = rule.kind === 'fused' && rule.op !== 'adasum'
  const statistics = statisticsOf(work)
  const shared: CutSegment[] = []
  const combined = rule.kind === 'fused' ? 'cut' : 'all'
  for (const batch of batchesOf(work, isLinear ? 'none' : combined)) {
    const calls = batch.map((range) => callOf(rule, work, binding, range))
    yield { kind: 'kernels', phase: isLinear ? 'combine' : 'gram', tasks: calls.map(({ task }) => task) }
    if (isLinear) continue
    const cut: CutSegment[] = []
    for (const call of calls) collect(rule, work, binding, call, statistics, cut)
    const tasks: KernelTask[] = []
    for (const part of cut)
      if (isShared(work, part)) shared.push(part)
      else {
        const nodes = partOf(work, part, gramProductCount(work))
        tasks.push(...(yield* combinationOf(rule, work, binding, part, nodes, statistics)))
      }
    if (tasks.length > 0) yield { kind: 'kernels', phase: 'combine', tasks }
  }
  const productCount = gramProductCount(work)
  const parts = yield* shareNodes(
    work,
    0,
    shared.map((part) => partOf(work, part, productCount)),
  )
  for (const [index, part] of shared.entries()) {
    const tasks = yield* combinationOf(rule, work, binding, part, parts[index]!, statistics)
    yield { kind: 'kernels', phase: 'combine', tasks }
  }
  if (rule.kind === 'matrix' && rule.isCompared) yield { kind: 'compare', statistics }
  return statistics
}

/** What is left of a segment's reduction, once its nodes are known and its coefficients found. */
function* combinationOf(
  rule: Rule,
  work: ReduceWork,
  binding: Binding,
  part: CutSegment,
  nodes: NodePart,
  statistics: SegmentRows,
): Generator<ReduceStep, KernelTask[], undefined | readonly NodePart[]> {
  const answer = yield* solve(rule, work, binding, part, nodes, statistics)
  statistics.set(part.segment, answer)
  return combineTasks(work, part, coefficientsOf(answer, work.inputs.length))
}

function statisticsOf({ slice: { segments }, inputs, withGram }: ReduceWork): SegmentRows {
  const [first, last] = segments.length > 0 ? [segments[0]!, segments.at(-1)!] : [0, -1]
  return newStatistics(first, last - first + 1, inputs.length, withGram)
}

function gramProductCount({ inputs }: ReduceWork): number {
  return productCountOf(inputs.length)
}

/** A kernel call of the first pass, and the arrays that it writes its answers to. */
interface FirstCall {
  readonly range: CallRange
  readonly nodes: Float64Array
  readonly stats: Float64Array
  readonly task: KernelTask
}

function callOf(rule: Rule, work: ReduceWork, binding: Binding, range: CallRange): FirstCall {
  if (rule.kind !== 'fused') return gramCall(work, binding, range)
  const { op } = rule
  const { layout, resultDtype, slice, weights } = work
  const { from, to, begin, end } = range
  const pieces = piecesBetween(slice, from, to)
  const nodeCount = op === 'adasum' ? binding.nodeCount(pieces) : 0
  const nodes = new Float64Array(nodeCount * gramProductCount(work))
  const stats = new Float64Array((to - from) * statisticsWidth(work.inputs.length, work.withGram))
  const inputs = byteSlices(work, begin, end)
  const out = byteSlice(resultDtype, work.out, begin, end)
  const args = [OP_CODES[op], layout.dtype.code, resultDtype.code, inputs, weights, pieces, out, nodes, stats] as const
  const task: KernelTask = { needs: end, sync: (b) => b.reduce(...args), async: (b) => b.reduceAsync(...args) }
  return { range, nodes, stats, task }
}

/** A first call that only multiplies: it leaves nodes of all pieces, and no statistics. */
function gramCall(work: ReduceWork, binding: Binding, range: CallRange): FirstCall {
  const { layout, slice } = work
  const nodeCount = nodeCountOf(work, binding, range.from, range.to)
  const nodes = new Float64Array(nodeCount * gramProductCount(work))
  const inputs = byteSlices(work, range.begin, range.end)
  const args = [layout.dtype.code, inputs, piecesBetween(slice, range.from, range.to), nodes] as const
  const task: KernelTask = { needs: range.end, sync: (b) => b.gram(...args), async: (b) => b.gramAsync(...args) }
  return { range, nodes, stats: new Float64Array(0), task }
}

/** The nodes of pieces, of which a whole one has its root. */
function nodeCountOf({ slice }: ReduceWork, binding: Binding, from: number, to: number): number {
  let count = binding.nodeCount(piecesBetween(slice, from, to))
  for (let piece = from; piece < to; piece++) if (isWhole(slice, piece)) count++
  return count
}

/** Takes over a call's answers: the nodes of pieces, and statistics of segments that the call has reduced. */
function collect(
  rule: Rule,
  work: ReduceWork,
  binding: Binding,
  { range, nodes, stats }: FirstCall,
  statistics: SegmentRows,
  cut: CutSegment[],
): void {
  const { slice, inputs, weights } = work
  const { width } = statistics
  let at = 0
  for (let piece = range.from; piece < range.to; piece++) {
    const segment = slice.segments[piece]!
    if (rule.kind === 'fused' && isWhole(slice, piece)) {
      const row = stats.subarray((piece - range.from) * width, (piece - range.from + 1) * width)
      if (work.withGram === true) blankAbsent(gramOf(row, inputs.length), weights)
      statistics.set(segment, row)
      continue
    }
    const length = nodeCountOf(work, binding, piece, piece + 1) * gramProductCount(work)
    const ofPiece = nodes.subarray(at, (at += length))
    const last = cut.at(-1)
    if (last?.segment !== segment) cut.push({ segment, from: piece, to: piece + 1, nodes: [ofPiece] })
    else {
      last.to = piece + 1
      last.nodes.push(ofPiece)
    }
  }
}

/**
 * Solves a segment from its nodes: returns its row of statistics, and refines cancelled tree nodes on the way. The Gram matrix
 * goes to the end of the row in `statistics`, if that has one.
 */
function* solve(
  rule: Rule,
  work: ReduceWork,
  binding: Binding,
  part: CutSegment,
  first: NodePart,
  statistics: SegmentRows,
): Generator<ReduceStep, Float64Array, undefined | readonly NodePart[]> {
  const { layout, inputs, weights } = work
  const elementCount = layout.segmentElementCounts[part.segment]!
  const gram = binding.gramFinish(elementCount, first.runs, first.nodes, first.productCount)
  if (work.withGram === true) {
    const reported = gramOf(statistics.row(part.segment), inputs.length)
    reported.set(gram)
    blankAbsent(reported, weights)
  }
  if (rule.kind === 'matrix') return statisticsByMatrix(rule.matrix, work, part.segment, gram)
  const { code, parameter } = pairsOf(rule)
  let refinements = new Float64Array(0)
  for (let round = 1; ; round++) {
    const answer = binding.coefficients(code, parameter, layout.dtype.code, weights, gram, refinements)
    const pending = answer[0]!
    if (pending === 0) return answer.subarray(1)
    const width = 2 + inputs.length
    const requests = Array.from({ length: pending }, (_, i) => answer.subarray(1 + i * width, 1 + (i + 1) * width))
    const vectors = concatDoubles(requests.map((request) => request.subarray(2)))
    const productCount = pending * (inputs.length + 1)
    const nodeCount = nodeCountOf(work, binding, part.from, part.to)
    const nodes = new Float64Array(nodeCount * productCount)
    yield { kind: 'kernels', phase: 'gram', tasks: refineTasks(work, binding, part, vectors, nodes, productCount) }
    const [shared] = yield* shareNodes(work, round, [partOf(work, { ...part, nodes: [nodes] }, productCount)])
    const products = binding.gramFinish(elementCount, shared!.runs, shared!.nodes, productCount)
    const found = requests.map((request, i) =>
      concatDoubles([
        request.subarray(0, 2),
        products.subarray(i * (inputs.length + 1), (i + 1) * (inputs.length + 1)),
      ]),
    )
    refinements = concatDoubles([refinements, ...found])
  }
}

function partOf({ slice }: ReduceWork, { segment, from, to, nodes }: CutSegment, productCount: number): NodePart {
  return { segment, productCount, runs: runsOf(slice, from, to), nodes: concatDoubles(nodes) }
}

/** The parts with the nodes of all ranks. Segments that lie wholly in this slice need no exchange. */
function* shareNodes(
  work: ReduceWork,
  round: number,
  parts: NodePart[],
): Generator<ReduceStep, NodePart[], undefined | readonly NodePart[]> {
  const shared = parts.filter((part) => isShared(work, part))
  if (shared.length === 0) return parts
  const answers = (yield { kind: 'exchange', round, parts: shared }) ?? []
  return parts.map((part) => answers[shared.indexOf(part)] ?? part)
}

function refineTasks(
  work: ReduceWork,
  binding: Binding,
  part: CutSegment,
  vectors: Float64Array,
  nodes: Float64Array,
  productCount: number,
): KernelTask[] {
  let at = 0
  return pieceRanges(work, part).map(({ piece, begin, end }) => {
    const pieces = piecesBetween(work.slice, piece, piece + 1)
    const length = nodeCountOf(work, binding, piece, piece + 1) * productCount
    const target = nodes.subarray(at, (at += length))
    const args = [work.layout.dtype.code, byteSlices(work, begin, end), vectors, pieces, target] as const
    return { sync: (b) => b.refine(...args), async: (b) => b.refineAsync(...args) }
  })
}

function combineTasks(work: ReduceWork, part: CutSegment, coefficients: Float64Array): KernelTask[] {
  return combinedRanges(work, part).map(({ begin, end }) => {
    const out = byteSlice(work.resultDtype, work.out, begin, end)
    const counts = Float64Array.of(end - begin)
    const { layout, resultDtype } = work
    const inputs = byteSlices(work, begin, end)
    const args = [layout.dtype.code, resultDtype.code, inputs, counts, coefficients, out] as const
    return { sync: (b) => b.combine(...args), async: (b) => b.combineAsync(...args) }
  })
}

/**
 * What each call of the second pass combines of a cut segment: a piece, or in a long segment as much as a long call
 * takes.
 */
function combinedRanges(work: ReduceWork, part: CutSegment): { readonly begin: number; readonly end: number }[] {
  const pieces = pieceRanges(work, part)
  const { begin } = pieces[0]!
  const { end } = pieces.at(-1)!
  const longest = longCallElementCount(work.resultDtype.byteLength, end - begin)
  if (longest === undefined) return pieces
  const count = Math.ceil((end - begin) / longest)
  return Array.from({ length: count }, (_, i) => ({
    begin: begin + i * longest,
    end: Math.min(end, begin + (i + 1) * longest),
  }))
}

/** Where each piece of a cut segment lies. Elements are counted from the slice's start. */
function pieceRanges({ layout, slice }: ReduceWork, { segment, from, to }: CutSegment) {
  return Array.from({ length: to - from }, (_, i) => {
    const piece = from + i
    const begin = layout.segmentBegins[segment]! + slice.pieces[piece * 3 + 1]! - slice.begin
    return { piece, begin, end: begin + pieceElementCount(slice, piece) }
  })
}
