/**
 * A caller's data as one vector. Arrays stay where they are, but short ones that follow each other are packed into
 * scratch memory, and unpacked at the end: a message of many short parts costs more than the copy.
 */
import { isDetached, lengthOf, locationOf } from '../binding/typed-array.ts'
import { AdasumError, inspect, reading } from '../errors.ts'
import { printable } from '../printable.ts'
import { bytesOf, checkArray, checkDisjoint, readNumbers, totalByteLength, transferredAway } from '../tensor/check.ts'
import { type Dtype, newArrayLike, resultDtypeOf } from '../tensor/dtype.ts'
import { type Layout, layoutOfArray, layoutOfNamedArrays } from '../tensor/layout.ts'
import { copyParts } from '../tensor/parts.ts'
import type { ScratchPool } from '../tensor/scratch.ts'
import { Vector } from '../tensor/vector.ts'
import type { NamedArrays, NumericArray } from '../types.ts'

/** The most characters of a list of names in an error message. */
const NAMES_CHARACTERS = 1000

export type Data = NumericArray | NamedArrays<NumericArray>

export interface Packed {
  readonly vector: Vector
  /** Copies packed arrays back into the caller's. */
  readonly unpack: () => void
  readonly release: () => void
  /** Throws if the caller's memory has been transferred away. */
  readonly check: () => void
}

/** The same arrays, with each name and array read once: a getter or a proxy cannot give others later. */
export function readData(data: Data, what: string): Data {
  if (typeof data !== 'object' || data === null || ArrayBuffer.isView(data)) return data
  return reading(what, () => (Array.isArray(data) ? data : { ...data }))
}

function arraysOf(data: Data): NumericArray[] {
  return ArrayBuffer.isView(data) ? [data] : Object.values(data)
}

/** The layout of `data`; ERR_ARGUMENT if it is not a typed array or an object of typed arrays of one dtype. */
export function layoutOf(data: unknown, what: string, segments?: ArrayLike<number>): Layout {
  if (typeof data !== 'object' || data === null || ArrayBuffer.isView(data) || Array.isArray(data))
    return layoutOfArray(checkArray(data, what), lengthOf(data as NumericArray), segments)
  if (segments !== undefined)
    throw new AdasumError(
      'ERR_ARGUMENT',
      `${what} is an object of named arrays, one segment a name: leave out \`segments\`.`,
    )
  return layoutOfNamedArrays(data as NamedArrays<NumericArray>, what)
}

/**
 * The layout of `out`; ERR_ARGUMENT unless it has the names, lengths and dtype of `data`, or f32 where that is a half
 * format, and shares no memory with it.
 */
export function checkOut(data: Data, out: unknown, layout: Layout): Layout {
  const found = layoutOf(out, 'out')
  const dtype = resultDtypeOf(layout.dtype, found.dtype)
  const other = { ...found, dtype: found.dtype.Array === dtype.Array ? dtype : found.dtype }
  if (other.dtype !== dtype || other.elementCount !== layout.elementCount) {
    const [mine, theirs] = [layout, other].map(({ dtype, elementCount }) => `${dtype.name}[${elementCount}]`)
    throw new AdasumError(
      'ERR_ARGUMENT',
      `out is ${theirs}, the data is ${mine}. Use equal length and dtype; for f16 and bf16, f32 will do.`,
    )
  }
  const names = (of: Layout): string =>
    JSON.stringify(of.names && of.names.map((name, i) => [name, of.segmentElementCounts[i]]))
  const shown = (of: Layout): string => printable(names(of) ?? '(one)', NAMES_CHARACTERS)
  if (names(layout) !== names(other))
    throw new AdasumError(
      'ERR_ARGUMENT',
      `out has the arrays ${shown(other)}, the data ${shown(layout)}. Use the same.`,
    )
  const label = (what: string, value: Data): { array: NumericArray; what: string }[] =>
    arraysOf(value).map((array) => ({ array, what }))
  checkDisjoint([...label('data', data), ...label('out', out as Data)])
  return { ...layout, dtype }
}

/** The dtype of a part of the result; ERR_ARGUMENT unless `out` can hold it and shares no memory with the data. */
export function checkPart(out: NumericArray, dtype: Dtype, data: NumericArray, elementCount: number): Dtype {
  const found = checkArray(out, 'out')
  const resultDtype = resultDtypeOf(dtype, found)
  const length = lengthOf(out)
  if (found.Array !== resultDtype.Array || length !== elementCount)
    throw new AdasumError(
      'ERR_ARGUMENT',
      `out is ${found.name}[${length}], this rank's part is ${dtype.name}[${elementCount}]. Use equal length and dtype; ` +
        'for f16 and bf16, f32 will do.',
    )
  checkDisjoint([
    { array: data, what: 'data' },
    { array: out, what: 'out' },
  ])
  return resultDtype
}

/** A world has fewer ranks. */
const MOST_PARTS = 1 << 16

/** Arrays of fewer bytes are packed. */
const SHORT_BYTE_LENGTH = 64 << 10

export function pack(data: Data, scratch: ScratchPool): Packed {
  const arrays = arraysOf(data)
  const check = (): void => {
    if (arrays.some(isDetached)) throw transferredAway()
  }
  if (arrays.length === 1)
    return { vector: Vector.of(bytesOf(arrays[0]!)), unpack: () => undefined, release: () => undefined, check }
  const bundles = bundlesOf(arrays.map(bytesOf).filter(({ length }) => length > 0))
  const isCopied = ({ length }: readonly Uint8Array[]): boolean => length > 1
  const copies = new Map(bundles.filter(isCopied).map((bundle) => [bundle, packBundle(bundle, scratch)]))
  return {
    vector: new Vector(bundles.map((bundle) => copies.get(bundle) ?? bundle[0]!)),
    unpack: () => copies.forEach((bytes, bundle) => copyParts([bytes], bundle)),
    release: () => copies.forEach((bytes) => scratch.release(bytes)),
    check,
  }
}

/** Bundles of short arrays that follow each other; every other array is a bundle of its own. */
function bundlesOf(arrays: readonly Uint8Array[]): Uint8Array[][] {
  const isShort = ({ length }: Uint8Array): boolean => length < SHORT_BYTE_LENGTH
  const bundles: Uint8Array[][] = []
  for (const array of arrays) {
    const last = bundles.at(-1)
    if (last && isShort(last[0]!) && isShort(array)) last.push(array)
    else bundles.push([array])
  }
  return bundles
}

function packBundle(bundle: readonly Uint8Array[], scratch: ScratchPool): Uint8Array {
  const bytes = scratch.acquire(totalByteLength(bundle))
  copyParts(bundle, [bytes])
  return bytes
}

/** Element counts of the parts for all ranks: equal ones, or those given. ERR_ARGUMENT unless they add up. */
export function partCounts(elementCount: number, size: number, counts: ArrayLike<number> | undefined): number[] {
  if (counts === undefined) {
    if (elementCount % size === 0) return Array.from({ length: size }, () => elementCount / size)
    const message = `${elementCount} elements cannot be cut into ${size} equal parts. Give \`counts\`, one number a rank.`
    throw new AdasumError('ERR_ARGUMENT', message)
  }
  const list = readNumbers(counts, MOST_PARTS, '`counts`')
  const wrong = list.find((count) => !Number.isSafeInteger(count) || count < 0)
  const sum = wrong === undefined ? list.reduce((total, count) => total + count, 0) : NaN
  if (list.length === size && wrong === undefined && sum === elementCount) return list
  const what =
    list.length !== size
      ? `\`counts\` has ${list.length} numbers for ${size} ranks`
      : wrong !== undefined
        ? `\`counts\` has ${inspect(wrong)} in it, which is no number of elements`
        : `\`counts\` add up to ${sum} elements, the data has ${elementCount}`
  throw new AdasumError('ERR_ARGUMENT', `${what}. Give one whole number a rank.`)
}

/** Consecutive parts of an array: the same memory. */
export function partsOf(array: NumericArray, counts: readonly number[]): Uint8Array[] {
  const length = lengthOf(array)
  const elementByteLength = length === 0 ? 0 : locationOf(array).byteLength / length
  const bytes = bytesOf(array)
  let at = 0
  return counts.map((count) => bytes.subarray(at, (at += count * elementByteLength)))
}

/** A new array like `array`, long enough for parts of so many elements, and these parts of its memory. */
export function newParts<A extends NumericArray>(
  array: A,
  counts: readonly number[],
): { result: A; parts: Uint8Array[] } {
  const result = newArrayLike(
    array,
    counts.reduce((sum, count) => sum + count, 0),
  )
  return { result, parts: partsOf(result, counts) }
}
