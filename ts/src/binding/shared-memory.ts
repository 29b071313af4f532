/**
 * The border to Rust for memory that processes of one machine share. A contract of its own, beside the kernels' one: it
 * exists in the native addon only, and nothing depends on it being there.
 *
 * A segment is a piece of memory that one process makes and others map, its data read-only. Beside the data it has state
 * words, one for each message whose bytes lie in it. A word carries the generation of its message, so that a late look at
 * a word that is used again finds nothing.
 */
export const TAG_BYTE_LENGTH = 16

/** A segment, as this process has it mapped; the mapping lives as long as this or the buffer does. */
export interface Segment {
  /** Number of its file descriptor in the process that made it; 0 where segments have names. */
  readonly fd: number
  /** How many state words it has, from 0. */
  readonly wordCount: number
  /** Its data. To be called once. */
  buffer(): ArrayBuffer
  /** Owner: the bytes of a message are there (Release). Generations are less than 2^30. */
  publish(word: number, generation: number): boolean
  /** Reader: whether they are (Acquire). */
  isPublished(word: number, generation: number): boolean
  /** Reader: all of them have been read. False if the owner has withdrawn them: then what was read counts for nothing. */
  finish(word: number, generation: number): boolean
  /** Owner: whether they have (Acquire). */
  isFinished(word: number, generation: number): boolean
  /** Owner: the bytes change from now on. False if the reader has finished. */
  withdraw(word: number, generation: number): boolean
  /** Reader: whether the owner has given the segment up. */
  isRetired(): boolean
}

export interface SharedMemoryBinding {
  /** Makes a segment, on Linux all of it reserved. Throws if the system has not so much, or no such thing. */
  readonly createSegment: (byteLength: number, tag: Uint8Array) => Segment
  /** Maps the segment of another process. Throws if there is none of that tag and length, or this process may not. */
  readonly openSegment: (pid: number, fd: number, byteLength: number, tag: Uint8Array) => Segment
  /** At the end of the process: takes away the names of its segments, where they have names (macOS). */
  readonly unlinkSegments: () => void
}
