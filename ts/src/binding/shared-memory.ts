/**
 * The border to Rust for memory that processes of one machine share. It is a contract of its own, beside that of the
 * kernels: only the native addon has it, and everything works without it.
 *
 * A segment of shared memory is made by one process, its owner; others, the readers, map its data read-only. Beside the
 * data it has state words, one for each message whose bytes lie in it. A word holds the generation of its message, so
 * that a process which looks at it late, when the word is in use for another message, finds no match.
 */
export const TAG_BYTE_LENGTH = 16

/** A segment that this process has mapped. The mapping lives as long as this object or the buffer does. */
export interface Segment {
  /** Number of its file descriptor in the process that made it; 0 where segments have names. */
  readonly fd: number
  /** How many state words it has; their indices begin at 0. */
  readonly wordCount: number
  /** The data. To be called once. */
  buffer(): ArrayBuffer
  /**
   * Owner: marks the bytes of a message as readable (Release). Generations are less than 2^30. False if there is no
   * such word.
   */
  publish(word: number, generation: number): boolean
  /** Reader: whether the bytes are readable (Acquire). */
  isPublished(word: number, generation: number): boolean
  /**
   * Reader: marks the bytes as read. False if the owner has withdrawn them: then the reader must drop what it has read.
   */
  finish(word: number, generation: number): boolean
  /** Owner: whether the reader has marked the bytes as read (Acquire). */
  isFinished(word: number, generation: number): boolean
  /** Owner: takes the bytes back, to change them. False if the reader has marked them as read. */
  withdraw(word: number, generation: number): boolean
  /** Reader: whether the owner has given the segment up. */
  isRetired(): boolean
}

export interface SharedMemoryBinding {
  /**
   * Makes a segment; on Linux all of its memory is reserved. Throws if there is not so much, or the system shares no
   * memory.
   */
  readonly createSegment: (byteLength: number, tag: Uint8Array) => Segment
  /**
   * Maps the segment of another process. Throws if there is none with this tag and length, or this process may not map
   * it.
   */
  readonly openSegment: (pid: number, fd: number, byteLength: number, tag: Uint8Array) => Segment
  /**
   * Removes the names of this process's segments, where they have names (macOS). To be called when the process ends.
   */
  readonly unlinkSegments: () => void
}
