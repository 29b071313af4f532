/**
 * What is reported of each segment, over the levels.
 *
 * Orthogonality is |result|^2 over the sum of all ranks' |g_i|^2. The root knows the first; the second is what the nodes
 * of the first level add up, and rides on the exchanges up to the root. A rank's coefficient is the product of its
 * subtrees' coefficients on the way up. So each rank carries a row for every segment that begins in its interval: the sum
 * of squared norms and, if they are asked for, a coefficient for each rank below the node. At the root these become the
 * report, which rides on the gather. Of ranks that share a segment only the one in whose interval it begins speaks of it.
 */
import { type SliceStatistics, emptySegmentRows, segmentRowWidth } from '../kernels/reduce.ts'
import { bytesOf } from '../tensor/check.ts'
import type { Layout } from '../tensor/layout.ts'
import { type Statistics, reportWidth } from './job.ts'
import type { Subtree } from './levels.ts'
import type { Level } from './level-plan.ts'
import { segmentsBeginningIn } from './schedule.ts'

/** Rows of one width for the segments that begin between two elements. */
export class Rows {
  readonly values: Float64Array
  readonly width: number
  readonly from: number
  readonly #layout: Layout

  constructor(layout: Layout, width: number, begin: number, end: number) {
    const [from, to] = segmentsBeginningIn(layout, begin, end)
    this.#layout = layout
    this.width = width
    this.from = from
    this.values = new Float64Array((to - from) * width)
  }

  get count(): number {
    return this.width === 0 ? 0 : this.values.length / this.width
  }

  row(segment: number): Float64Array {
    return this.values.subarray((segment - this.from) * this.width, (segment - this.from + 1) * this.width)
  }

  /** The rows of the segments that begin in a part of the interval. */
  between(begin: number, end: number): Float64Array {
    const [from, to] = segmentsBeginningIn(this.#layout, begin, end)
    return this.values.subarray((from - this.from) * this.width, (to - this.from) * this.width)
  }
}

/** The rows that a node of `count` ranks sends up. */
export function rowsOf(
  layout: Layout,
  statistics: Statistics,
  { count }: Subtree,
  { begin, end }: { begin: number; end: number },
): Rows {
  return new Rows(layout, { none: 0, orthogonality: 1, coefficients: 1 + count }[statistics], begin, end)
}

/**
 * Fills a node's rows from its inputs' (undefined where these are single ranks) and from its own reduction. `addsNorms`: to the
 * squared norms of the leaves below; otherwise the inputs themselves count as leaves.
 */
export function joinRows(
  into: Rows,
  level: Level,
  inputs: readonly Rows[] | undefined,
  own: SliceStatistics,
  weights: Float64Array,
  addsNorms: boolean,
): void {
  for (let segment = into.from; segment < into.from + into.count; segment++) {
    const [found, row] = [rowOfSlice(own, segment, level.inputs.length), into.row(segment)]
    if (!found) continue
    const norms = (addsNorms ? inputs : undefined)?.map((rows, i) => (weights[i] === 0 ? 0 : rows.row(segment)[0]!))
    row[0] = norms ? pairwiseSum(norms) : found[1]!
    if (row.length === 1) continue
    level.inputs.forEach(({ first, count }, i) => {
      const factor = found[2 + i]!
      for (let rank = 0; rank < count; rank++) {
        const below = inputs ? inputs[i]!.row(segment)[1 + rank]! : 1
        // Not a product: the factor may be NaN, and who was left out keeps 0.
        row[1 + first - level.node.first + rank] = below === 0 ? 0 : factor * below
      }
    })
  }
}

/** From the root's rows to the report of the segments that begin in this rank's interval. */
export function reportRoot(report: Report, rows: Rows, own: SliceStatistics, inputCount: number): void {
  for (let segment = rows.from; segment < rows.from + rows.count; segment++) {
    const found = rowOfSlice(own, segment, inputCount)
    if (!found) continue
    const [orthogonality, inputNorms] = found as unknown as [number, number]
    const [leafNorms, ...coefficients] = rows.row(segment)
    const ofLeaves = inputNorms === leafNorms ? orthogonality : (orthogonality * inputNorms) / leafNorms!
    report.set(segment, [ofLeaves, ...coefficients])
  }
}

/** What every rank learns of every segment. */
export class Report {
  readonly values: Float64Array
  readonly #layout: Layout
  readonly #width: number

  constructor(layout: Layout, statistics: Statistics, size: number) {
    this.#layout = layout
    this.#width = reportWidth(statistics, size)
    this.values = emptySegmentRows(layout.segmentElementCounts.length, this.#width)
  }

  set(segment: number, row: readonly number[]): void {
    this.values.set(row, segment * this.#width)
  }

  /** The rows of the segments that begin between two elements, as a part of a message. */
  bytesBetween(begin: number, end: number): Uint8Array {
    const [from, to] = segmentsBeginningIn(this.#layout, begin, end)
    return bytesOf(this.values.subarray(from * this.#width, to * this.#width))
  }
}

/** Orthogonality, squared norms and coefficients of a segment; undefined if it has no elements, or nobody looked. */
function rowOfSlice({ firstSegment, values }: SliceStatistics, segment: number, inputCount: number) {
  const width = segmentRowWidth(inputCount)
  const at = (segment - firstSegment) * width
  return at >= 0 && at < values.length ? values.subarray(at, at + width) : undefined
}

/** Like the tree itself, so that identical inputs stay exact where their number is a power of two. */
function pairwiseSum(values: readonly number[]): number {
  if (values.length <= 1) return values[0] ?? 0
  const middle = Math.ceil(values.length / 2)
  return pairwiseSum(values.slice(0, middle)) + pairwiseSum(values.slice(middle))
}
