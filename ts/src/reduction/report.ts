import type { ReductionRecord } from '../gpu/gpu-binding.ts'
import { type Layout, segmentName } from '../tensor/layout.ts'
import type { ReduceOp, SegmentReduction } from '../types.ts'

/**
 * What a caller learns of each segment. `statistics` has a row a segment: nothing, orthogonality, or that and then a
 * coefficient for each input.
 */
export function reportSegments(layout: Layout, statistics: Float64Array): SegmentReduction[] {
  const width = statistics.length / layout.segmentElementCounts.length
  return Array.from(layout.segmentElementCounts, (elementCount, segment) => {
    const report: SegmentReduction = { name: segmentName(layout, segment), elementCount }
    if (width > 0) report.orthogonality = statistics[segment * width]!
    if (width > 1) report.coefficients = Array.from(statistics.subarray(segment * width + 1, (segment + 1) * width))
    return report
  })
}

/** The same of what a GPU has found. Segments of which it says nothing, because no input took part, have NaN. */
export function reportGpuSegments(
  layout: Layout,
  { orthogonality, coefficients }: ReductionRecord,
  { op, inputCount, withCoefficients }: { op: ReduceOp; inputCount: number; withCoefficients: boolean },
): SegmentReduction[] {
  const width = withCoefficients ? 1 + inputCount : 1
  const rows = new Float64Array(op === 'adasum' ? layout.segmentElementCounts.length * width : 0).fill(NaN)
  for (const [segment, value] of orthogonality.entries()) {
    rows[segment * width] = value
    if (withCoefficients)
      rows.set(coefficients.subarray(segment * inputCount, (segment + 1) * inputCount), segment * width + 1)
  }
  return reportSegments(layout, rows)
}
