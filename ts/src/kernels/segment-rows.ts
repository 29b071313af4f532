/**
 * A row of numbers for each of several consecutive segments. Rows follow each other in memory, so they can be parts of
 * a message.
 */
export class SegmentRows {
  readonly firstSegment: number
  readonly segmentCount: number
  /** Numbers in a row. */
  readonly width: number
  readonly values: Float64Array

  constructor(firstSegment: number, segmentCount: number, width: number) {
    this.firstSegment = firstSegment
    this.segmentCount = segmentCount
    this.width = width
    this.values = new Float64Array(segmentCount * width)
  }

  /** The segment after the last that has a row. */
  get endSegment(): number {
    return this.firstSegment + this.segmentCount
  }

  has(segment: number): boolean {
    return segment >= this.firstSegment && segment < this.endSegment
  }

  row(segment: number): Float64Array {
    return this.between(segment, segment + 1)
  }

  /** The rows of segments `from` to `to`, all of which must have one. */
  between(from: number, to: number): Float64Array {
    return this.values.subarray((from - this.firstSegment) * this.width, (to - this.firstSegment) * this.width)
  }

  /**
   * Copies other rows to here, the first of them to that of `firstSegment`. All of their segments must have a row here.
   */
  copyFrom(rows: SegmentRows, firstSegment: number = rows.firstSegment): void {
    this.set(firstSegment, rows.values)
  }

  /** Writes the row of a segment, or several rows from there on. */
  set(segment: number, values: ArrayLike<number>): void {
    this.values.set(values, (segment - this.firstSegment) * this.width)
  }
}
