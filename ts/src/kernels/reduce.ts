/**
 * The reduction of a slice: gram -> coefficients -> combine, written once and run in three ways.
 *
 * The body is a generator. It yields batches of kernel calls, each at most a few milliseconds long, and exchanges of Gram
 * partials for segments that other ranks hold parts of; run.ts drives it synchronously, cooperatively on this thread, or
 * off-thread. The local functions and the collectives run this same body, hence their bits are the same.
 *
 * Small segments that lie wholly in the slice go through all three stages in one kernel call, while their data is still
 * in cache. Of the others the first pass leaves tree nodes; these are added up (after an exchange, if the segment is cut
 * across ranks), the coefficients follow, and a second pass combines. If a tree node cancels so far that the Gram matrix
 * has no digits left for it, its vector's products are taken directly, in one more pass for each depth of such nodes.
 */
import { type Binding, OP_CODES } from '../binding/binding.ts'
import type { Dtype } from '../tensor/dtype.ts'
import type { Layout } from '../tensor/layout.ts'
import type { Vector } from '../tensor/vector.ts'
import type { ReduceOp } from '../types.ts'
import { type Slice, chunkElementCount, isWhole, pieceElementCount, piecesBetween, runsOf } from './slice.ts'

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
  /** Whether it writes the result. */
  readonly writes: boolean
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

export type ReduceStep =
  | { readonly kind: 'kernels'; readonly tasks: readonly KernelTask[] }
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
  readonly to: number
  readonly nodes: Float64Array
}

export function* reduceSlice(work: ReduceWork, binding: Binding): ReduceBody {
  const statistics = newStatistics(work)
  const cut = yield* firstPass(work, binding, statistics)
  if (work.op !== 'adasum' || cut.length === 0) return statistics
  const parts = yield* shareNodes(
    work,
    0,
    cut.map((part) => partOf(work, part, gramProductCount(work))),
  )
  for (const [index, part] of cut.entries()) {
    const answer = yield* solve(work, binding, part, parts[index]!)
    statistics.values.set(answer, (part.segment - statistics.firstSegment) * answer.length)
    yield { kind: 'kernels', tasks: combineTasks(work, part, answer.subarray(BEFORE_COEFFICIENTS)) }
  }
  return statistics
}

function newStatistics({ slice, inputs }: ReduceWork): SliceStatistics {
  const count = slice.segments.length
  const firstSegment = count > 0 ? slice.segments[0]! : 0
  const segmentCount = count > 0 ? slice.segments[count - 1]! - firstSegment + 1 : 0
  return { firstSegment, values: emptySegmentRows(segmentCount, BEFORE_COEFFICIENTS + inputs.length) }
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
  const full = BEFORE_COEFFICIENTS + inputCount
  for (let at = 0, to = firstSegment * width; at < values.length; at += full, to += width) {
    if (width > 0) rows[to] = values[at]!
    if (width > 1) rows.set(values.subarray(at + BEFORE_COEFFICIENTS, at + full), to + 1)
  }
}

function gramProductCount({ inputs }: ReduceWork): number {
  return (inputs.length * (inputs.length + 1)) / 2
}

/** One kernel call for each group of consecutive pieces that together make a chunk. */
function* firstPass(
  work: ReduceWork,
  binding: Binding,
  statistics: SliceStatistics,
): Generator<ReduceStep, CutSegment[], undefined | readonly NodePart[]> {
  const { op, layout, resultDtype, slice, weights } = work
  const groups = groupPieces(work).map(({ from, to, begin, end }) => {
    const pieces = piecesBetween(slice, from, to)
    const nodeCount = op === 'adasum' ? binding.nodeCount(pieces) : 0
    const nodes = new Float64Array(nodeCount * gramProductCount(work))
    const stats = new Float64Array((to - from) * (BEFORE_COEFFICIENTS + work.inputs.length))
    const inputs = byteSlices(work, begin, end)
    const out = byteSlice(resultDtype, work.out, begin, end)
    // Of cut pieces adasum leaves nodes only.
    const writes = op !== 'adasum' || Array.from({ length: to - from }).some((_, i) => isWhole(slice, from + i))
    return {
      from,
      to,
      nodes,
      stats,
      needs: end,
      writes,
      args: [OP_CODES[op], layout.dtype.code, resultDtype.code, inputs, weights, pieces, out, nodes, stats] as const,
    }
  })
  yield {
    kind: 'kernels',
    tasks: groups.map(({ args, needs, writes }) => ({
      ...{ needs, writes },
      sync: (b) => b.reduce(...args),
      async: (b) => b.reduceAsync(...args),
    })),
  }
  if (op !== 'adasum') return []
  const cut: CutSegment[] = []
  for (const group of groups) collectGroup(work, binding, group, statistics, cut)
  return cut
}

/** Puts a group's answers where they belong: statistics of whole segments, nodes of the others. */
function collectGroup(
  work: ReduceWork,
  binding: Binding,
  group: { from: number; to: number; nodes: Float64Array; stats: Float64Array },
  statistics: SliceStatistics,
  cut: CutSegment[],
): void {
  const { slice, inputs } = work
  const width = BEFORE_COEFFICIENTS + inputs.length
  const productCount = gramProductCount(work)
  let at = 0
  for (let piece = group.from; piece < group.to; piece++) {
    const segment = slice.segments[piece]!
    if (isWhole(slice, piece)) {
      const row = group.stats.subarray((piece - group.from) * width, (piece - group.from + 1) * width)
      statistics.values.set(row, (segment - statistics.firstSegment) * width)
      continue
    }
    const length = binding.nodeCount(piecesBetween(slice, piece, piece + 1)) * productCount
    const nodes = group.nodes.subarray(at, (at += length))
    const last = cut.at(-1)
    if (last?.segment === segment) cut[cut.length - 1] = { ...last, to: piece + 1, nodes: concat(last.nodes, nodes) }
    else cut.push({ segment, from: piece, to: piece + 1, nodes })
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
    yield { kind: 'kernels', tasks: refineTasks(work, binding, part, vectors, nodes, productCount) }
    const [shared] = yield* shareNodes(work, round, [partOf(work, { ...part, nodes }, productCount)])
    const products = binding.gramFinish(elementCount, shared!.runs, shared!.nodes, productCount)
    const found = requests.map((request, i) =>
      concat(request.subarray(0, 2), products.subarray(i * (inputs.length + 1), (i + 1) * (inputs.length + 1))),
    )
    refinements = concat(refinements, ...found)
  }
}

function partOf({ slice }: ReduceWork, { segment, from, to, nodes }: CutSegment, productCount: number): NodePart {
  return { segment, productCount, runs: runsOf(slice, from, to), nodes }
}

/** The parts as all ranks hold them together; segments wholly in this slice need no exchange. */
function* shareNodes(
  { layout, slice }: ReduceWork,
  round: number,
  parts: NodePart[],
): Generator<ReduceStep, NodePart[], undefined | readonly NodePart[]> {
  const isShared = ({ segment }: NodePart) =>
    layout.segmentBegins[segment]! < slice.begin || layout.segmentBegins[segment + 1]! > slice.end
  const shared = parts.filter(isShared)
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
    const length = binding.nodeCount(pieces) * productCount
    const target = nodes.subarray(at, (at += length))
    const args = [work.layout.dtype.code, byteSlices(work, begin, end), vectors, pieces, target] as const
    return { writes: false, sync: (b) => b.refine(...args), async: (b) => b.refineAsync(...args) }
  })
}

function combineTasks(work: ReduceWork, part: CutSegment, coefficients: Float64Array): KernelTask[] {
  return pieceRanges(work, part).map(({ begin, end }) => {
    const out = byteSlice(work.resultDtype, work.out, begin, end)
    const counts = Float64Array.of(end - begin)
    const { layout, resultDtype } = work
    const inputs = byteSlices(work, begin, end)
    const args = [layout.dtype.code, resultDtype.code, inputs, counts, coefficients, out] as const
    return { writes: true, sync: (b) => b.combine(...args), async: (b) => b.combineAsync(...args) }
  })
}

/** Where each piece of a cut segment lies, in elements from the slice's start. */
function pieceRanges({ layout, slice }: ReduceWork, { segment, from, to }: CutSegment) {
  return Array.from({ length: to - from }, (_, i) => {
    const piece = from + i
    const begin = layout.segmentBegins[segment]! + slice.pieces[piece * 3 + 1]! - slice.begin
    return { piece, begin, end: begin + pieceElementCount(slice, piece) }
  })
}

/** Consecutive pieces that together stay within a chunk and a part of memory; elements from the slice's start. */
function groupPieces({ layout, resultDtype, slice, inputs, out }: ReduceWork) {
  const breaks = breaksOf(layout.dtype, inputs, resultDtype, out)
  const limit = chunkElementCount(layout.dtype.byteLength, inputs.length)
  const groups: { from: number; to: number; begin: number; end: number }[] = []
  let at = 0
  for (let piece = 0; piece < slice.segments.length; piece++) {
    const count = pieceElementCount(slice, piece)
    const last = groups.at(-1)
    if (last && at + count - last.begin <= limit && !breaks.has(at))
      Object.assign(last, { to: piece + 1, end: at + count })
    else groups.push({ from: piece, to: piece + 1, begin: at, end: at + count })
    at += count
  }
  return groups
}

/** Where inputs or result go on elsewhere in memory, in elements from the slice's start. */
export function breaksOf(dtype: Dtype, inputs: readonly Vector[], resultDtype: Dtype, out: Vector): Set<number> {
  const isOnePart = ({ parts }: Vector): boolean => parts.length === 1
  if (isOnePart(out) && inputs.every(isOnePart)) return new Set()
  const inElements = ({ breaks }: Vector, { byteLength }: Dtype): number[] =>
    Array.from(breaks, (byte) => byte / byteLength)
  return new Set([...inputs.flatMap((input) => inElements(input, dtype)), ...inElements(out, resultDtype)])
}

/** Copies elements; if the dtypes differ, as `combine` stores them. */
export function convert(binding: Binding, from: Dtype, input: Vector, to: Dtype, out: Vector): void {
  if (from === to) return out.set(input)
  const elementCount = input.byteLength / from.byteLength
  let begin = 0
  for (const end of [...breaksOf(from, [input], to, out), elementCount].sort((a, b) => a - b)) {
    const parts = [byteSlice(from, input, begin, end)]
    const result = byteSlice(to, out, begin, end)
    binding.combine(from.code, to.code, parts, Float64Array.of(end - begin), Float64Array.of(1), result)
    begin = end
  }
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
