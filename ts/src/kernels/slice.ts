/**
 * A slice of a vector as pieces of segments (see binding/binding.ts).
 *
 * Pieces are also cut at chunk boundaries: multiples of a power of two of blocks, counted from the segment's start.
 * Such a chunk is one node of the canonical tree, so cutting there changes no bit, and one call of a kernel stays
 * short. Chunk lengths depend on the number of inputs and the dtype alone: every rank can tell every other rank's
 * pieces.
 */
import { BLOCK_ELEMENTS } from '../binding/binding.ts'
import type { Layout } from '../tensor/layout.ts'
import { intervalAt } from '../tensor/vector.ts'

/** Input bytes that one kernel call reads at most (about 1-3 ms on the slowest instruction set). */
const CHUNK_BYTE_LENGTH = 4 << 20

const PIECE_FIELDS = 3

export interface Slice {
  /** First element of the vector in the slice, and the one after its last. */
  readonly begin: number
  readonly end: number
  /** Three numbers a piece: segmentElementCount, firstElement, elementCount. */
  readonly pieces: Float64Array
  /** The segment of each piece. */
  readonly segments: Int32Array
  /** Elements of consecutive pieces that one kernel call takes at most, unless it takes a single piece. */
  readonly callElements: number
}

/**
 * Bytes of each input that a long call reads at most: one that goes over its inputs once and waits for none. Its result
 * is streamed.
 */
const LONG_CALL_BYTE_LENGTH = 4 << 20
/** There are no long calls for shorter results, which may still be in the cache when somebody reads them. */
const LONG_BYTE_LENGTH = 8 << 20

/**
 * Elements that a long call takes, as chunkElementCount says it for others; undefined where there are no long calls.
 */
export function longCallElementCount(elementByteLength: number, elementCount: number): number | undefined {
  if (elementCount * elementByteLength < LONG_BYTE_LENGTH) return undefined
  return chunkElementCount(elementByteLength, 1, LONG_CALL_BYTE_LENGTH)
}

/**
 * Elements that a kernel call takes: the largest power of two of blocks of which all inputs together have `byteLength`
 * bytes or fewer.
 */
export function chunkElementCount(
  elementByteLength: number,
  inputCount: number,
  byteLength: number = CHUNK_BYTE_LENGTH,
): number {
  const blocks = byteLength / (BLOCK_ELEMENTS * elementByteLength * inputCount)
  return BLOCK_ELEMENTS * 2 ** Math.max(0, Math.floor(Math.log2(blocks)))
}

/**
 * The pieces of elements `begin` to `end`, both at segment or block boundaries. Segments without elements have none.
 *
 * @param chunkElements - the longest piece; a power of two of blocks
 * @param callElements - the longest piece of a segment that does not fit in one; a power of two of blocks, too
 */
export function sliceOf(
  layout: Layout,
  begin: number,
  end: number,
  chunkElements: number,
  callElements: number = chunkElements,
): Slice {
  const pieces: number[] = []
  const segments: number[] = []
  for (let s = segmentAt(layout, begin), at = begin; at < end; s++) {
    const [segmentBegin, count] = [layout.segmentBegins[s]!, layout.segmentElementCounts[s]!]
    const stop = Math.min(end, segmentBegin + count)
    const longest = count > chunkElements ? callElements : chunkElements
    while (at < stop) {
      const first = at - segmentBegin
      const next = Math.min(stop - segmentBegin, (Math.floor(first / longest) + 1) * longest)
      pieces.push(count, first, next - first)
      segments.push(s)
      at = segmentBegin + next
    }
  }
  return { begin, end, pieces: Float64Array.from(pieces), segments: Int32Array.from(segments), callElements }
}

/**
 * The segment that holds an element. Where several begin at it, that is the last of them: those before it are empty.
 */
export function segmentAt(layout: Layout, element: number): number {
  return intervalAt(layout.segmentBegins, element)
}

export function pieceElementCount(slice: Slice, piece: number): number {
  return slice.pieces[piece * PIECE_FIELDS + 2]!
}

/** Whether a piece covers its segment. */
export function isWhole(slice: Slice, piece: number): boolean {
  return slice.pieces[piece * PIECE_FIELDS] === pieceElementCount(slice, piece)
}

/** Pieces `from` to `to`, as the binding takes them. */
export function piecesBetween(slice: Slice, from: number, to: number): Float64Array {
  return slice.pieces.subarray(from * PIECE_FIELDS, to * PIECE_FIELDS)
}

/** [firstElement, elementCount] of pieces `from` to `to`, as gramFinish takes runs. */
export function runsOf(slice: Slice, from: number, to: number): Float64Array {
  const runs = new Float64Array((to - from) * 2)
  for (let i = 0; i < to - from; i++) runs.set(slice.pieces.subarray((from + i) * 3 + 1, (from + i) * 3 + 3), i * 2)
  return runs
}
