/**
 * Quantised vectors: where the codes of which elements lie, and the kernel calls that make and read them.
 *
 * Codes follow the order of the elements; blocks are counted from the start of each segment. Slices are cut at segments
 * and multiples of 2,048 elements, and every block size divides that: so what a rank sends of a vector is a run of its
 * codes.
 */
import { type Binding, FORMAT_CODES, FORMAT_WIDTHS } from '../binding/binding.ts'
import type { CompressionFormat } from '../compressor.ts'
import { bytesOf } from '../tensor/check.ts'
import type { Layout } from '../tensor/layout.ts'
import type { Vector } from '../tensor/vector.ts'
import { breaksOf } from './calls.ts'
import { pieceElementCount, segmentAt, sliceOf } from './slice.ts'
import type { KernelTask } from './work.ts'

/** A format and its blocks: what codes mean. */
export interface Coding {
  readonly format: CompressionFormat
  readonly blockElementCount: number
}

/** Elements of one kernel call: about a millisecond, and a power of two of blocks of 2,048. */
const CALL_ELEMENTS = 1 << 18

/** Where the codes of a vector's elements lie. */
export class CodeLayout {
  readonly #layout: Layout
  readonly #coding: Coding
  /** First byte of each segment's codes, and the byte length of all. */
  readonly #begins: Float64Array

  constructor(layout: Layout, coding: Coding) {
    this.#layout = layout
    this.#coding = coding
    this.#begins = new Float64Array(layout.segmentElementCounts.length + 1)
    layout.segmentElementCounts.forEach((count, s) => (this.#begins[s + 1] = this.#begins[s]! + this.#lengthOf(count)))
  }

  get byteLength(): number {
    return this.#begins.at(-1)!
  }

  /**
   * The first byte of an element's codes. The element must begin a segment or a block of 2,048, or be the one after the
   * last.
   */
  byteOf(element: number): number {
    const { segmentBegins, elementCount } = this.#layout
    if (element >= elementCount) return this.byteLength
    const segment = segmentAt(this.#layout, element)
    return this.#begins[segment]! + this.#lengthOf(element - segmentBegins[segment]!)
  }

  /** Byte length of the codes of a segment's first `elementCount` elements. */
  #lengthOf(elementCount: number): number {
    const { format, blockElementCount } = this.#coding
    const { scale, code } = FORMAT_WIDTHS[format]
    return elementCount * code + Math.ceil(elementCount / blockElementCount) * scale
  }
}

/** Elements `begin` to `end` of a vector, as numbers and as codes. Both memories hold these elements and no others. */
export interface QuantizeWork {
  readonly layout: Layout
  readonly coding: Coding
  readonly begin: number
  readonly end: number
  readonly numbers: Vector
  readonly codes: Uint8Array
}

/** Encodes numbers. A residual is added to them first, and then replaced by what the codes leave over. */
export function quantizeTasks(work: QuantizeWork, residual: Float32Array | undefined): KernelTask[] {
  const { format, blockElementCount } = work.coding
  return portionsOf(work).map(({ begin, end, counts, numbers, codes }) => {
    const rest = residual ? bytesOf(residual.subarray(begin, end)) : NO_BYTES
    const args = [FORMAT_CODES[format], blockElementCount, numbers, counts, rest, codes] as const
    return { sync: (b: Binding) => b.quantize(...args), async: (b: Binding) => b.quantizeAsync(...args) }
  })
}

/** Decodes codes to numbers. */
export function dequantizeTasks(work: QuantizeWork): KernelTask[] {
  const { format, blockElementCount } = work.coding
  return portionsOf(work).map(({ counts, numbers, codes }) => {
    const args = [FORMAT_CODES[format], blockElementCount, codes, counts, numbers] as const
    return { sync: (b: Binding) => b.dequantize(...args), async: (b: Binding) => b.dequantizeAsync(...args) }
  })
}

const NO_BYTES = new Uint8Array(0)

/** The part of the work that one kernel call does. Elements are counted from the work's first. */
interface Portion {
  readonly begin: number
  readonly end: number
  /** Element counts of the parts of segments in it. */
  readonly counts: Float64Array
  readonly numbers: Uint8Array
  readonly codes: Uint8Array
}

function portionsOf({ layout, coding, begin, end, numbers, codes }: QuantizeWork): Portion[] {
  const { dtype } = layout
  const where = new CodeLayout(layout, coding)
  const first = where.byteOf(begin)
  return runsOf(layout, begin, end, breaksOf(dtype, [numbers], dtype, numbers)).map((run) => ({
    ...run,
    numbers: numbers.contiguous(run.begin * dtype.byteLength, run.end * dtype.byteLength),
    codes: codes.subarray(where.byteOf(begin + run.begin) - first, where.byteOf(begin + run.end) - first),
  }))
}

/** Parts of segments that follow each other in memory: enough for a call that is neither long nor one of thousands. */
function runsOf(
  layout: Layout,
  first: number,
  last: number,
  breaks: ReadonlySet<number>,
): Pick<Portion, 'begin' | 'end' | 'counts'>[] {
  const slice = sliceOf(layout, first, last, CALL_ELEMENTS)
  const runs: { begin: number; end: number; counts: number[] }[] = []
  let at = 0
  for (let piece = 0; piece < slice.segments.length; piece++) {
    const end = at + pieceElementCount(slice, piece)
    const run = runs.at(-1)
    if (!run || end - run.begin > CALL_ELEMENTS || breaks.has(at)) runs.push({ begin: at, end, counts: [end - at] })
    else {
      run.end = end
      run.counts.push(end - at)
    }
    at = end
  }
  return runs.map((run) => ({ ...run, counts: Float64Array.from(run.counts) }))
}
