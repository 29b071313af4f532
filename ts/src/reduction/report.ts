import { type Layout, segmentName } from '../tensor/layout.ts'
import type { SegmentReduction } from '../types.ts'

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
