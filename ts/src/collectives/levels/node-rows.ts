/**
 * How the report of each segment is made over several levels.
 *
 * Orthogonality is |result|^2 over the sum of all ranks' |g_i|^2. The root knows the numerator. The nodes of the first
 * level add up the denominator, which rides on the exchanges up to the root. A rank's coefficient is the product of its
 * subtrees' coefficients on the way up. So each rank has a row for every segment that begins in its interval:
 *
 *     nothing, or the sum of squared norms, or that | a coefficient for each rank below the node, or that | Gram matrix
 *
 * At the root these rows become the report, which rides on the gather. If ranks share a segment, only the rank in whose
 * interval it begins has a row for it. Gram matrices are reported of a single level only, which has that of all ranks.
 */
import { pairwiseSum } from '../../kernels/doubles.ts'
import { SegmentRows } from '../../kernels/segment-rows.ts'
import {
  type ReportDetail,
  coefficientsOf,
  gramOf,
  orthogonalityOf,
  reportWidth,
  setReport,
  squaredNormsOf,
} from '../../kernels/statistics.ts'
import type { Layout } from '../../tensor/layout.ts'
import type { Level } from '../schedule/level-plan.ts'
import { type Interval, segmentsBeginningIn } from '../schedule/slices.ts'
import type { Subtree } from '../schedule/tree.ts'

/** Rows that a node of `count` ranks sends up, one for each segment that begins in an interval. */
export function newNodeRows(layout: Layout, detail: ReportDetail, { count }: Subtree, interval: Interval): SegmentRows {
  const [from, to] = segmentsBeginningIn(layout, interval)
  return new SegmentRows(from, to - from, reportWidth(detail, count))
}

/** The rows of segments that begin in an interval. */
export function rowsBeginningIn(layout: Layout, rows: SegmentRows, interval: Interval): Float64Array {
  return rows.between(...segmentsBeginningIn(layout, interval))
}

/**
 * Fills a node's rows from those of its inputs (undefined if these are single ranks) and from the statistics of its own
 * reduction. With `addsNorms` it adds up the squared norms of the leaves below; otherwise the inputs themselves count
 * as leaves.
 */
export function joinRows(
  into: SegmentRows,
  level: Level,
  inputs: readonly SegmentRows[] | undefined,
  statistics: SegmentRows,
  weights: Float64Array,
  addsNorms: boolean,
): void {
  if (into.width === 0) return
  for (let segment = into.firstSegment; segment < into.endSegment; segment++) {
    // The segment has no elements, or the reducer has no statistics.
    if (!statistics.has(segment)) continue
    const [found, row] = [statistics.row(segment), into.row(segment)]
    const norms = (addsNorms ? inputs : undefined)?.map((rows, i) => (weights[i] === 0 ? 0 : rows.row(segment)[0]!))
    row[0] = norms ? pairwiseSum(Float64Array.from(norms)) : squaredNormsOf(found)
    if (row.length === 1) continue
    const factors = coefficientsOf(found, level.inputs.length)
    level.inputs.forEach(({ first, count }, i) => {
      for (let rank = 0; rank < count; rank++) {
        const below = inputs ? inputs[i]!.row(segment)[1 + rank]! : 1
        // Not simply a product: the factor may be NaN, and a rank that was left out keeps 0.
        row[1 + first - level.node.first + rank] = below === 0 ? 0 : factors[i]! * below
      }
    })
    row.set(gramOf(found, level.inputs.length), 1 + level.node.count)
  }
}

/** Turns the root's rows into the report of the segments that begin in this rank's interval. */
export function reportRoot(report: SegmentRows, rows: SegmentRows, statistics: SegmentRows): void {
  if (report.width === 0) return
  for (let segment = rows.firstSegment; segment < rows.endSegment; segment++) {
    if (!statistics.has(segment)) continue
    const found = statistics.row(segment)
    const [orthogonality, inputNorms] = [orthogonalityOf(found), squaredNormsOf(found)]
    const [leafNorms, ...more] = rows.row(segment)
    const ofLeaves = inputNorms === leafNorms ? orthogonality : (orthogonality * inputNorms) / leafNorms!
    setReport(report.row(segment), ofLeaves, more)
  }
}
