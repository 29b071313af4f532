/**
 * The layout of a call's data: dtype, element count and segments. Ranks compare a hash of it (layout-hash.ts) in every
 * frame.
 */
import { lengthOf } from '../binding/typed-array.ts'
import { AdasumError, inspect } from '../errors.ts'
import { printable } from '../printable.ts'
import type { NamedArrays, NumericArray } from '../types.ts'
import { checkArray, checkDisjoint, readNumbers } from './check.ts'
import type { Dtype } from './dtype.ts'

/** More segments than any model has layers. A list that claims more may have no end. */
const MOST_SEGMENTS = 1 << 24
/** Characters of a name that a message shows. */
const NAME_CHARACTERS = 100

/** Where the segments of a vector lie. */
export interface Layout {
  /** The dtype of its elements. */
  readonly dtype: Dtype
  /** Elements of all segments together. */
  readonly elementCount: number
  /** Element count of each segment, in order; they add up to elementCount. */
  readonly segmentElementCounts: Float64Array
  /** Where each segment begins, and one more entry: elementCount. */
  readonly segmentBegins: Float64Array
  /** Names of the segments, or undefined where they are numbered. */
  readonly names: readonly string[] | undefined
  /** For a part of a vector, which segment of that is its first. Default 0. */
  readonly firstSegment?: number
}

function makeLayout(dtype: Dtype, counts: Float64Array, names: readonly string[] | undefined): Layout {
  const begins = new Float64Array(counts.length + 1)
  for (let i = 0; i < counts.length; i++) begins[i + 1] = begins[i]! + counts[i]!
  const elementCount = begins[counts.length]!
  if (elementCount === 0) throw new AdasumError('ERR_ARGUMENT', 'The data is empty: 0 elements. Pass at least one.')
  return { dtype, elementCount, segmentElementCounts: counts, segmentBegins: begins, names }
}

function checkSegments(segments: ArrayLike<number>, elementCount: number): Float64Array {
  const given = readNumbers(segments, MOST_SEGMENTS, '`segments`')
  if (given.length === 0)
    throw new AdasumError('ERR_ARGUMENT', '`segments` must be a non-empty list of element counts.')
  const counts: number[] = []
  let sum = 0
  for (const [index, count] of given.entries()) {
    if (!Number.isSafeInteger(count) || count < 0)
      throw new AdasumError(
        'ERR_ARGUMENT',
        `segments[${index}] is ${inspect(count)}; it must be a whole number of elements.`,
      )
    // Turns -0, whose bits would make another hash, into 0.
    counts.push(count + 0)
    sum += count
  }
  if (sum !== elementCount)
    throw new AdasumError(
      'ERR_ARGUMENT',
      `The segments add up to ${sum} elements, the data has ${elementCount}. Correct \`segments\`.`,
    )
  return Float64Array.from(counts)
}

/** The layout of one array that is cut in `segments` (default: one). */
export function layoutOfArray(dtype: Dtype, elementCount: number, segments?: ArrayLike<number>): Layout {
  const counts = segments === undefined ? Float64Array.of(elementCount) : checkSegments(segments, elementCount)
  return makeLayout(dtype, counts, undefined)
}

/** The layout of an object of named arrays of one dtype: a segment a name, in insertion order. */
export function layoutOfNamedArrays(arrays: NamedArrays<NumericArray>, what: string): Layout {
  const names = Object.keys(arrays)
  if (names.length === 0) throw new AdasumError('ERR_ARGUMENT', `${what} has 0 arrays. Pass at least one.`)
  const shown = names.map((name) => printable(name, NAME_CHARACTERS))
  const labels = shown.map((name) => `${what}.${name}`)
  const dtypes = names.map((name, i) => checkArray(arrays[name], labels[i]!))
  const other = dtypes.findIndex((dtype) => dtype !== dtypes[0])
  if (other > 0)
    throw new AdasumError(
      'ERR_ARGUMENT',
      `${what} mixes dtypes: ${shown[0]} is ${dtypes[0]!.name}, ${shown[other]} is ${dtypes[other]!.name}. Use one dtype a call.`,
    )
  checkDisjoint(names.map((name, i) => ({ array: arrays[name]!, what: labels[i]! })))
  return makeLayout(
    dtypes[0]!,
    Float64Array.from(names, (name) => lengthOf(arrays[name]!)),
    names,
  )
}

/** The layout of segments `from` to `to` alone. */
export function layoutBetween(layout: Layout, from: number, to: number): Layout {
  const first = layout.segmentBegins[from]!
  return {
    dtype: layout.dtype,
    elementCount: layout.segmentBegins[to]! - first,
    segmentElementCounts: layout.segmentElementCounts.subarray(from, to),
    segmentBegins: layout.segmentBegins.slice(from, to + 1).map((begin) => begin - first),
    names: layout.names?.slice(from, to),
    firstSegment: (layout.firstSegment ?? 0) + from,
  }
}

/** The name of a segment: that of its array, or its index in the whole vector. */
export function segmentName(layout: Layout, segment: number): string {
  return layout.names?.[segment] ?? String((layout.firstSegment ?? 0) + segment)
}
