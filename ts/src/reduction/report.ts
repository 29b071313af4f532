import type { ReductionRecord } from '../gpu/gpu-binding.ts'
import type { SegmentRows } from '../kernels/segment-rows.ts'
import {
  orthogonalityOf,
  reportDetail,
  reportOfNothing,
  reportedCoefficients,
  reportedGram,
  setReport,
} from '../kernels/statistics.ts'
import { rowsOf } from '../kernels/triangle.ts'
import { type Layout, segmentName } from '../tensor/layout.ts'
import type { OpName, SegmentReduction } from '../types.ts'

/** What a caller learns of each segment, from a report of all of them. */
export function reportSegments(layout: Layout, report: SegmentRows, inputCount: number): SegmentReduction[] {
  return Array.from(layout.segmentElementCounts, (elementCount, segment) => {
    const reduction: SegmentReduction = { name: segmentName(layout, segment), elementCount }
    if (report.width === 0) return reduction
    const row = report.row(segment)
    reduction.orthogonality = orthogonalityOf(row)
    if (report.width > 1) reduction.coefficients = Array.from(reportedCoefficients(row, inputCount))
    if (report.width > 1 + inputCount) reduction.gram = wholeGram(reportedGram(row, inputCount), inputCount)
    return reduction
  })
}

function wholeGram(triangle: Float64Array, inputCount: number): Float64Array[] {
  return rowsOf(triangle, inputCount, [...Array(inputCount).keys()])
}

/** The same, from the record of a GPU. Segments that it does not report, because no input took part, have NaN. */
export function reportGpuSegments(
  layout: Layout,
  { orthogonality, coefficients }: ReductionRecord,
  { op, inputCount, withCoefficients }: { op: OpName; inputCount: number; withCoefficients: boolean },
): SegmentReduction[] {
  const report = reportOfNothing(layout.segmentElementCounts.length, reportDetail(op, withCoefficients), inputCount)
  if (op === 'adasum')
    for (const [segment, value] of orthogonality.entries())
      setReport(report.row(segment), value, coefficients.subarray(segment * inputCount, (segment + 1) * inputCount))
  return reportSegments(layout, report, inputCount)
}
