/** Which pieces of a slice one kernel call takes, and where their bytes are. */
import type { Dtype } from '../tensor/dtype.ts'
import type { Vector } from '../tensor/vector.ts'
import { isWhole, pieceElementCount } from './slice.ts'
import type { ReduceWork } from './work.ts'

/** Consecutive pieces that one kernel call takes. Elements are counted from the slice's start. */
export interface CallRange {
  readonly from: number
  to: number
  readonly begin: number
  end: number
}

function rangesOf({ layout, resultDtype, slice, inputs, out }: ReduceWork): CallRange[] {
  const breaks = breaksOf(layout.dtype, inputs, resultDtype, out)
  const ranges: CallRange[] = []
  let at = 0
  for (let piece = 0; piece < slice.segments.length; piece++) {
    const end = at + pieceElementCount(slice, piece)
    const last = ranges.at(-1)
    if (!last || end - last.begin > slice.callElements || breaks.has(at))
      ranges.push({ from: piece, to: piece + 1, begin: at, end })
    else {
      last.to = piece + 1
      last.end = end
    }
    at = end
  }
  return ranges
}

/**
 * The calls of the first pass. A batch ends with each segment that a second pass is to combine (`segments`: those that
 * are cut into pieces, all, or none), so that its data may still be in the cache then.
 */
export function batchesOf(work: ReduceWork, segments: 'none' | 'cut' | 'all'): CallRange[][] {
  const { slice } = work
  const endsSegment = (piece: number): boolean =>
    (segments === 'all' || !isWhole(slice, piece)) &&
    slice.segments[piece] !== slice.segments[piece + 1] &&
    !isShared(work, { segment: slice.segments[piece]! })
  const batches: CallRange[][] = [[]]
  for (const range of rangesOf(work)) {
    batches.at(-1)!.push(range)
    if (segments !== 'none' && endsSegment(range.to - 1)) batches.push([])
  }
  return batches.filter((batch) => batch.length > 0)
}

/** The elements at which an input or the result continues elsewhere in memory, counted from the slice's start. */
export function breaksOf(dtype: Dtype, inputs: readonly Vector[], resultDtype: Dtype, out: Vector): Set<number> {
  const isOnePart = ({ parts }: Vector): boolean => parts.length === 1
  if (isOnePart(out) && inputs.every(isOnePart)) return new Set()
  const inElements = ({ breaks }: Vector, { byteLength }: Dtype): number[] =>
    Array.from(breaks, (byte) => byte / byteLength)
  return new Set([...inputs.flatMap((input) => inElements(input, dtype)), ...inElements(out, resultDtype)])
}

export function byteSlice(dtype: Dtype, vector: Vector, begin: number, end: number): Uint8Array {
  return vector.contiguous(begin * dtype.byteLength, end * dtype.byteLength)
}

export function byteSlices({ layout, inputs }: ReduceWork, begin: number, end: number): Uint8Array[] {
  return inputs.map((input) => byteSlice(layout.dtype, input, begin, end))
}

/** Whether other ranks hold elements of a segment, too. */
export function isShared({ layout, slice }: ReduceWork, { segment }: { segment: number }): boolean {
  return layout.segmentBegins[segment]! < slice.begin || layout.segmentBegins[segment + 1]! > slice.end
}
