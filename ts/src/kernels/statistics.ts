/**
 * What a reduction finds out about each segment (statistics), and what callers learn of that (report). Both are rows of
 * numbers (segment-rows.ts):
 *
 *     statistics   orthogonality | sum of the inputs' squared norms | a coefficient for each input | or that | Gram matrix
 *     report       nothing, or orthogonality, or that | a coefficient for each input, or that | Gram matrix
 *
 * Statistics are what the kernels write; only operators that look at Gram matrices have any. Orthogonality is |result|^2 over the sum of the squared
 * norms. Of a Gram matrix there is the upper triangle, row by row.
 */
import type { OpName } from '../types.ts'
import { usesGram } from './rule.ts'
import { SegmentRows } from './segment-rows.ts'
import { productCountOf } from './triangle.ts'

const ORTHOGONALITY = 0
const SQUARED_NORMS = 1
const COEFFICIENTS = 2

/** Which numbers a report has of each segment. */
export type ReportDetail = 'none' | 'orthogonality' | 'coefficients' | 'gram'

export function reportDetail(op: OpName, withCoefficients: boolean, withGram = false): ReportDetail {
  if (!usesGram(op)) return 'none'
  if (withGram) return 'gram'
  return withCoefficients ? 'coefficients' : 'orthogonality'
}

/** Numbers in a row of a report. */
export function reportWidth(detail: ReportDetail, inputCount: number): number {
  if (detail === 'none') return 0
  if (detail === 'orthogonality') return 1
  return 1 + inputCount + (detail === 'gram' ? productCountOf(inputCount) : 0)
}

/** Numbers in a row of statistics. */
export function statisticsWidth(inputCount: number, withGram = false): number {
  return COEFFICIENTS + inputCount + (withGram ? productCountOf(inputCount) : 0)
}

/** Statistics as a segment without elements has them: orthogonality 1, and 0 for everything else. */
export function newStatistics(
  firstSegment: number,
  segmentCount: number,
  inputCount: number,
  withGram = false,
): SegmentRows {
  return withOrthogonalityOne(new SegmentRows(firstSegment, segmentCount, statisticsWidth(inputCount, withGram)))
}

/** The orthogonality in a row of statistics, or of a report that has any. */
export function orthogonalityOf(row: Float64Array): number {
  return row[ORTHOGONALITY]!
}

export function squaredNormsOf(statisticsRow: Float64Array): number {
  return statisticsRow[SQUARED_NORMS]!
}

export function coefficientsOf(statisticsRow: Float64Array, inputCount: number): Float64Array {
  return statisticsRow.subarray(COEFFICIENTS, COEFFICIENTS + inputCount)
}

/** The triangle of the Gram matrix in a row of statistics; empty where the row has none. */
export function gramOf(statisticsRow: Float64Array, inputCount: number): Float64Array {
  return statisticsRow.subarray(COEFFICIENTS + inputCount)
}

/** Sets what a row of statistics has beside the coefficients. */
export function setStatistics(statisticsRow: Float64Array, orthogonality: number, squaredNorms: number): void {
  statisticsRow[ORTHOGONALITY] = orthogonality
  statisticsRow[SQUARED_NORMS] = squaredNorms
}

/** Sets the statistics of a single vector: orthogonality 1, and no squared norms that it could be compared with. */
export function setOnlyVector(statisticsRow: Float64Array): void {
  setStatistics(statisticsRow, 1, 0)
}

export function isAnyOrthogonalityNaN({ values, width }: SegmentRows): boolean {
  for (let at = ORTHOGONALITY; at < values.length; at += width) if (Number.isNaN(values[at])) return true
  return false
}

/** A report of all segments of a vector, in which each is as if it had no elements. */
export function newReport(segmentCount: number, detail: ReportDetail, inputCount: number): SegmentRows {
  return withOrthogonalityOne(emptyReport(segmentCount, detail, inputCount))
}

/** The report of a call in which all inputs were left out: NaN everywhere. */
export function reportOfNothing(segmentCount: number, detail: ReportDetail, inputCount: number): SegmentRows {
  const report = emptyReport(segmentCount, detail, inputCount)
  report.values.fill(NaN)
  return report
}

/** Puts the statistics of some segments into a report. */
export function reportStatistics(report: SegmentRows, statistics: SegmentRows): void {
  if (report.width === 0) return
  const [from, to] = [statistics.values, report.values]
  // By offsets: there may be very many segments, and a view of each row would cost more than the row.
  let reportAt = statistics.firstSegment * report.width
  for (let at = 0; at < from.length; at += statistics.width, reportAt += report.width) {
    to[reportAt + ORTHOGONALITY] = from[at + ORTHOGONALITY]!
    if (report.width > 1) to.set(from.subarray(at + COEFFICIENTS, at + statistics.width), reportAt + 1)
  }
}

/**
 * Fills a row of a report that has any numbers. A report without coefficients leaves them out.
 *
 * @param more - the coefficients, and the Gram matrix if the report has one
 */
export function setReport(reportRow: Float64Array, orthogonality: number, more: ArrayLike<number>): void {
  reportRow[ORTHOGONALITY] = orthogonality
  if (reportRow.length > 1) reportRow.set(more, 1)
}

/** The coefficients in a row of a report; empty where the report has none. */
export function reportedCoefficients(reportRow: Float64Array, inputCount: number): Float64Array {
  return reportRow.subarray(1, 1 + inputCount)
}

/** The triangle of the Gram matrix in a row of a report; empty where the report has none. */
export function reportedGram(reportRow: Float64Array, inputCount: number): Float64Array {
  return reportRow.subarray(1 + inputCount)
}

function emptyReport(segmentCount: number, detail: ReportDetail, inputCount: number): SegmentRows {
  return new SegmentRows(0, segmentCount, reportWidth(detail, inputCount))
}

function withOrthogonalityOne(rows: SegmentRows): SegmentRows {
  for (let at = ORTHOGONALITY; at < rows.values.length; at += rows.width) rows.values[at] = 1
  return rows
}
