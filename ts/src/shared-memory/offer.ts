/** An offer of a message that lies in shared memory, and its two sides: the owner's and the reader's. */

/** Memory up to this length gets no segment of its own: payloads that short travel in a frame. */
export const LEAST_SEGMENT_BYTE_LENGTH: number = 64 << 10

/** Where some bytes lie in a segment. On macOS the tag alone identifies the segment. */
export interface Location {
  readonly pid: number
  readonly fd: number
  readonly tag: Uint8Array
  readonly segmentByteLength: number
  readonly offset: number
  readonly byteLength: number
}

/** A message that lies in shared memory, except for short parts, which the offer itself carries. */
export interface Offer {
  /** The index of the offer's state word, which is in the segment of the first location. */
  readonly word: number
  readonly generation: number
  readonly items: readonly (Location | Uint8Array)[]
}

/** The owner's side of an offer. */
export interface OwnOffer {
  readonly offer: Offer
  /**
   * Frees the state word for another offer, if the peer has read everything. Returns whether it has. To be called until
   * it has.
   */
  reclaimIfRead(): boolean
  /** Takes the offer back, so that the memory may change: the peer will not use what it has not finished reading. */
  withdraw(): void
}

/** The reader's side of an offer. */
export interface PeerOffer {
  readonly parts: readonly Uint8Array[]
  /** Whether the offer stands; false if the owner has withdrawn it already. */
  readonly isAvailable: boolean
  /** To be called once everything has been read. Returns false if the memory may have changed meanwhile. */
  finish(): boolean
}
