/**
 * The reduction of a slice: gram -> coefficients -> combine, written once and run in three ways.
 *
 * The body is a generator. It yields batches of kernel calls, each at most a few milliseconds long, and exchanges of Gram
 * partials for segments that other ranks hold parts of; run.ts drives it synchronously, cooperatively on this thread, or
 * off-thread. The local functions and the collectives run this same body, hence their bits are the same.
 *
 * Small segments that lie wholly in the slice go through all three stages in one kernel call, while their data is still
 * in cache. Of the others the first pass leaves tree nodes; these are added up, the coefficients follow, and a second pass
 * combines, segment by segment; segments that are cut across ranks come last, after an exchange of their nodes. If a tree
 * node cancels so far that the Gram matrix has no digits left for it, its vector's products are taken directly, in one more
 * pass for each depth of such nodes.
 */
import { type Binding, OP_CODES } from '../binding/binding.ts'
import type { Dtype } from '../tensor/dtype.ts'
import type { Layout } from '../tensor/layout.ts'
import type { Vector } from '../tensor/vector.ts'
import type { ReduceOp } from '../types.ts'
import { type Slice, isWhole, longCallElementCount, pieceElementCount, piecesBetween, runsOf } from './slice.ts'

export interface ReduceWork {
  readonly op: ReduceOp
  readonly layout: Layout
  /** The dtype of `out`: the layout's, or f32 where that is a half format. */
  readonly resultDtype: Dtype
  readonly slice: Slice
  /** The slice of every input, in rank order. */
  readonly inputs: readonly Vector[]
  /** How many ranks' vectors each input stands for; 0 leaves it out. */
  readonly weights: Float64Array
  /** Receives the slice of the result; may be one of the inputs. */
  readonly out: Vector
}

/** A kernel call, in both forms. */
export interface KernelTask {
  /** Elements of the inputs, from the slice's start, that it needs; absent: no more than calls of earlier steps. */
  readonly needs?: number
  sync(binding: Binding): void
  async(binding: Binding): Promise<void>
}

/** This rank's tree nodes of one segment. */
export interface NodePart {
  readonly segment: number
  readonly productCount: number
  readonly runs: Float64Array
  readonly nodes: Float64Array
}

/** What kernels are run for, as those who watch have it. */
export type KernelPhase = 'gram' | 'combine'

export type ReduceStep =
  | { readonly kind: 'kernels'; readonly phase: KernelPhase; readonly tasks: readonly KernelTask[] }
  /** Asks for the parts of all ranks: for each part, all runs in ascending order with their nodes. `round` counts from 0. */
  | { readonly kind: 'exchange'; readonly round: number; readonly parts: readonly NodePart[] }

/**
 * For each segment that the slice touches, orthogonality, the sum of the inputs' squared norms, and a coefficient for each
 * input; `adasum` only.
 */
export interface SliceStatistics {
  readonly firstSegment: number
  readonly values: Float64Array
}

export type ReduceBody = Generator<ReduceStep, SliceStatistics, readonly NodePart[] | undefined>

/** Numbers of a row of statistics that precede the coefficients. */
const BEFORE_COEFFICIENTS = 2

interface CutSegment {
  readonly segment: number
  /** Its pieces in the slice. */
  readonly from: number
  to: number
  /** Those of each piece. */
  readonly nodes: Float64Array[]
}

export function* reduceSlice(work: ReduceWork, binding: Binding): ReduceBody {
  const statistics = newStatistics(work)
  const shared: CutSegment[] = []
  for (const batch of batchesOf(work)) {
    const calls = batch.map((group) => callOf(work, binding, group))
    const phase = work.op === 'adasum' ? 'gram' : 'combine'
    yield { kind: 'kernels', phase, tasks: calls.map(({ task }) => task) }
    if (work.op !== 'adasum') continue
    const cut: CutSegment[] = []
    for (const call of calls) collect(work, binding, call, statistics, cut)
    for (const part of cut)
      if (isShared(work, part)) shared.push(part)
      else yield* combineSegment(work, binding, part, partOf(work, part, gramProductCount(work)), statistics)
  }
  const productCount = gramProductCount(work)
  const parts = yield* shareNodes(
    work,
    0,
    shared.map((part) => partOf(work, part, productCount)),
  )
  for (const [index, part] of shared.entries()) yield* combineSegment(work, binding, part, parts[index]!, statistics)
  return statistics
}

/** What is left of a segment once its nodes are known. */
function* combineSegment(
  work: ReduceWork,
  binding: Binding,
  part: CutSegment,
  nodes: NodePart,
  statistics: SliceStatistics,
): Generator<ReduceStep, void, undefined | readonly NodePart[]> {
  const answer = yield* solve(work, binding, part, nodes)
  statistics.values.set(answer, (part.segment - statistics.firstSegment) * answer.length)
  const tasks = combineTasks(work, part, answer.subarray(BEFORE_COEFFICIENTS))
  yield { kind: 'kernels', phase: 'combine', tasks }
}

function newStatistics({ slice, inputs }: ReduceWork): SliceStatistics {
  const count = slice.segments.length
  const firstSegment = count > 0 ? slice.segments[0]! : 0
  const segmentCount = count > 0 ? slice.segments[count - 1]! - firstSegment + 1 : 0
  return { firstSegment, values: emptySegmentRows(segmentCount, segmentRowWidth(inputs.length)) }
}

/** Rows as segments without elements have them: nothing in common, and nothing multiplied. */
export function emptySegmentRows(segmentCount: number, width: number): Float64Array {
  const rows = new Float64Array(segmentCount * width)
  for (let at = 0; at < rows.length; at += width) rows[at] = 1
  return rows
}

/** Numbers in a segment's row of statistics. */
export function segmentRowWidth(inputCount: number): number {
  return BEFORE_COEFFICIENTS + inputCount
}

/**
 * Puts into `rows` what callers learn of each segment: `width` numbers, of orthogonality and then a coefficient for each
 * input.
 */
export function reportRows(rows: Float64Array, width: number, statistics: SliceStatistics, inputCount: number): void {
  const { firstSegment, values } = statistics
  const full = segmentRowWidth(inputCount)
  for (let at = 0, to = firstSegment * width; at < values.length; at += full, to += width) {
    if (width > 0) rows[to] = values[at]!
    if (width > 1) rows.set(values.subarray(at + BEFORE_COEFFICIENTS, at + full), to + 1)
  }
}

function gramProductCount({ inputs }: ReduceWork): number {
  return (inputs.length * (inputs.length + 1)) / 2
}

/** A kernel call of the first pass, and where its answers go. */
interface FirstCall {
  readonly group: Group
  readonly nodes: Float64Array
  readonly stats: Float64Array
  readonly task: KernelTask
}

function callOf(work: ReduceWork, binding: Binding, group: Group): FirstCall {
  const { op, layout, resultDtype, slice, weights } = work
  const { from, to, begin, end } = group
  const pieces = piecesBetween(slice, from, to)
  const nodeCount = op === 'adasum' ? binding.nodeCount(pieces) : 0
  const nodes = new Float64Array(nodeCount * gramProductCount(work))
  const stats = new Float64Array((to - from) * segmentRowWidth(work.inputs.length))
  const inputs = byteSlices(work, begin, end)
  const out = byteSlice(resultDtype, work.out, begin, end)
  const args = [OP_CODES[op], layout.dtype.code, resultDtype.code, inputs, weights, pieces, out, nodes, stats] as const
  const task: KernelTask = { needs: end, sync: (b) => b.reduce(...args), async: (b) => b.reduceAsync(...args) }
  return { group, nodes, stats, task }
}

/** Puts a call's answers where they belong: statistics of whole segments, nodes of the others. */
function collect(
  work: ReduceWork,
  binding: Binding,
  { group, nodes, stats }: FirstCall,
  statistics: SliceStatistics,
  cut: CutSegment[],
): void {
  const { slice, inputs } = work
  const width = segmentRowWidth(inputs.length)
  let at = 0
  for (let piece = group.from; piece < group.to; piece++) {
    const segment = slice.segments[piece]!
    if (isWhole(slice, piece)) {
      const row = stats.subarray((piece - group.from) * width, (piece - group.from + 1) * width)
      statistics.values.set(row, (segment - statistics.firstSegment) * width)
      continue
    }
    const length = binding.nodeCount(piecesBetween(slice, piece, piece + 1)) * gramProductCount(work)
    const ofPiece = nodes.subarray(at, (at += length))
    const last = cut.at(-1)
    if (last?.segment !== segment) cut.push({ segment, from: piece, to: piece + 1, nodes: [ofPiece] })
    else {
      last.to = piece + 1
      last.nodes.push(ofPiece)
    }
  }
}

/** From the nodes of a segment to its row of statistics, refining cancelled tree nodes on the way. */
function* solve(
  work: ReduceWork,
  binding: Binding,
  part: CutSegment,
  first: NodePart,
): Generator<ReduceStep, Float64Array, undefined | readonly NodePart[]> {
  const { layout, slice, inputs, weights } = work
  const elementCount = layout.segmentElementCounts[part.segment]!
  const gram = binding.gramFinish(elementCount, first.runs, first.nodes, first.productCount)
  let refinements = new Float64Array(0)
  for (let round = 1; ; round++) {
    const answer = binding.coefficients(layout.dtype.code, weights, gram, refinements)
    const pending = answer[0]!
    if (pending === 0) return answer.subarray(1)
    const width = 2 + inputs.length
    const requests = Array.from({ length: pending }, (_, i) => answer.subarray(1 + i * width, 1 + (i + 1) * width))
    const vectors = concat(...requests.map((request) => request.subarray(2)))
    const productCount = pending * (inputs.length + 1)
    const nodeCount = binding.nodeCount(piecesBetween(slice, part.from, part.to))
    const nodes = new Float64Array(nodeCount * productCount)
    yield { kind: 'kernels', phase: 'gram', tasks: refineTasks(work, binding, part, vectors, nodes, productCount) }
    const [shared] = yield* shareNodes(work, round, [partOf(work, { ...part, nodes: [nodes] }, productCount)])
    const products = binding.gramFinish(elementCount, shared!.runs, shared!.nodes, productCount)
    const found = requests.map((request, i) =>
      concat(request.subarray(0, 2), products.subarray(i * (inputs.length + 1), (i + 1) * (inputs.length + 1))),
    )
    refinements = concat(refinements, ...found)
  }
}

function partOf({ slice }: ReduceWork, { segment, from, to, nodes }: CutSegment, productCount: number): NodePart {
  return { segment, productCount, runs: runsOf(slice, from, to), nodes: concat(...nodes) }
}

/** The parts as all ranks hold them together; segments wholly in this slice need no exchange. */
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

/** Whether other ranks hold elements of a segment, too. */
function isShared({ layout, slice }: ReduceWork, { segment }: { segment: number }): boolean {
  return layout.segmentBegins[segment]! < slice.begin || layout.segmentBegins[segment + 1]! > slice.end
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
    const length = binding.nodeCount(pieces) * productCount
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

/** The pieces of a cut segment; of a long one, as many together as a long call takes. */
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

/** Where each piece of a cut segment lies, in elements from the slice's start. */
function pieceRanges({ layout, slice }: ReduceWork, { segment, from, to }: CutSegment) {
  return Array.from({ length: to - from }, (_, i) => {
    const piece = from + i
    const begin = layout.segmentBegins[segment]! + slice.pieces[piece * 3 + 1]! - slice.begin
    return { piece, begin, end: begin + pieceElementCount(slice, piece) }
  })
}

/** Consecutive pieces that one kernel call takes; elements from the slice's start. */
interface Group {
  readonly from: number
  to: number
  readonly begin: number
  end: number
}

function groupPieces({ layout, resultDtype, slice, inputs, out }: ReduceWork): Group[] {
  const breaks = breaksOf(layout.dtype, inputs, resultDtype, out)
  const groups: Group[] = []
  let at = 0
  for (let piece = 0; piece < slice.segments.length; piece++) {
    const end = at + pieceElementCount(slice, piece)
    const last = groups.at(-1)
    if (!last || end - last.begin > slice.callElements || breaks.has(at))
      groups.push({ from: piece, to: piece + 1, begin: at, end })
    else {
      last.to = piece + 1
      last.end = end
    }
    at = end
  }
  return groups
}

/** Groups up to the end of each segment that is combined by itself: then its data may still be in the cache. */
function batchesOf(work: ReduceWork): Group[][] {
  const { slice } = work
  const endsSegment = (piece: number): boolean =>
    !isWhole(slice, piece) &&
    slice.segments[piece] !== slice.segments[piece + 1] &&
    !isShared(work, { segment: slice.segments[piece]! })
  const batches: Group[][] = [[]]
  for (const group of groupPieces(work)) {
    batches.at(-1)!.push(group)
    if (work.op === 'adasum' && endsSegment(group.to - 1)) batches.push([])
  }
  return batches.filter((batch) => batch.length > 0)
}

/** Where inputs or result go on elsewhere in memory, in elements from the slice's start. */
export function breaksOf(dtype: Dtype, inputs: readonly Vector[], resultDtype: Dtype, out: Vector): Set<number> {
  const isOnePart = ({ parts }: Vector): boolean => parts.length === 1
  if (isOnePart(out) && inputs.every(isOnePart)) return new Set()
  const inElements = ({ breaks }: Vector, { byteLength }: Dtype): number[] =>
    Array.from(breaks, (byte) => byte / byteLength)
  return new Set([...inputs.flatMap((input) => inElements(input, dtype)), ...inElements(out, resultDtype)])
}

function byteSlice(dtype: Dtype, vector: Vector, begin: number, end: number): Uint8Array {
  return vector.range(begin * dtype.byteLength, end * dtype.byteLength)
}

function byteSlices({ layout, inputs }: ReduceWork, begin: number, end: number): Uint8Array[] {
  return inputs.map((input) => byteSlice(layout.dtype, input, begin, end))
}

function concat(...arrays: Float64Array[]): Float64Array<ArrayBuffer> {
  const whole = new Float64Array(arrays.reduce((sum, array) => sum + array.length, 0))
  let at = 0
  for (const array of arrays) {
    whole.set(array, at)
    at += array.length
  }
  return whole
}
