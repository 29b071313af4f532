/** How a message that lies in shared memory is offered, and what both sides have of it. */

/** Smaller memory is not worth a segment: what is that short travels in a frame. */
export const LEAST_SEGMENT_BYTE_LENGTH: number = 64 << 10

/** Where some bytes lie in a segment. macOS has it by its tag alone. */
export interface Location {
  readonly pid: number
  readonly fd: number
  readonly tag: Uint8Array
  readonly segmentByteLength: number
  readonly offset: number
  readonly byteLength: number
}

/** A message that lies in shared memory, but for short parts, which come along. */
export interface Offer {
  /** Its state word, in the segment of the first location. */
  readonly word: number
  readonly generation: number
  readonly items: readonly (Location | Uint8Array)[]
}

/** The owner's side of an offer. */
export interface Placement {
  readonly offer: Offer
  /** Whether the peer has read everything. */
  isFinished(): boolean
  /** The memory may change from now on: what the peer has not finished reading, it will not use. */
  withdraw(): void
}

/** The reader's side of an offer. */
export interface Borrowed {
  readonly parts: readonly Uint8Array[]
  /** False if the owner has withdrawn it already. */
  readonly isThere: boolean
  /** To be called once everything has been read. False if it may have changed meanwhile. */
  finish(): boolean
}
