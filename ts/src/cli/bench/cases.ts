/** What a benchmark measures: the cross product of operators, dtypes, sizes and placements. */
import { COMPRESSION_FORMATS, type CompressionFormat } from '../../compressor.ts'
import type { AllReduceOp, FloatArray, IntegerArray } from '../../types.ts'
import { CommandError } from '../command-error.ts'

export type BenchDtype = 'f32' | 'f64' | 'u8' | 'i32' | 'u32' | 'i64' | 'u64'
export type BenchArray = FloatArray | IntegerArray

interface BenchArrayConstructor {
  readonly BYTES_PER_ELEMENT: number
  new (length: number): BenchArray
}

export const BENCH_ARRAYS: Readonly<Record<BenchDtype, BenchArrayConstructor>> = {
  f32: Float32Array,
  f64: Float64Array,
  u8: Uint8Array,
  i32: Int32Array,
  u32: Uint32Array,
  i64: BigInt64Array,
  u64: BigUint64Array,
}

/** `barrier` is an empty round: what every collective costs before it has moved a byte. */
export type BenchOp = AllReduceOp | 'barrier'

export interface BenchCase {
  readonly op: BenchOp
  readonly dtype: BenchDtype
  /** Bytes of each rank's vector; 0 for a barrier. */
  readonly byteLength: number
  readonly inPlace: boolean
  /** Absent: nothing is quantised. */
  readonly compress?: CompressionFormat
}

/** The options as commander gives them. Lists are separated by commas. */
export interface BenchOptions {
  ranks: number
  op: string
  dtype: string
  sizes: string
  placement: string
  compress?: string
  iterations?: number
  json?: boolean
}

const OPS: readonly BenchOp[] = ['sum', 'average', 'adasum', 'min', 'max', 'barrier']
const DTYPES = Object.keys(BENCH_ARRAYS) as BenchDtype[]
const PLACEMENTS = ['out', 'in-place'] as const
const COMPRESSIONS = ['none', ...COMPRESSION_FORMATS] as const
const UNITS: Record<string, number> = {
  '': 1,
  B: 1,
  KiB: 1 << 10,
  MiB: 1 << 20,
  GiB: 1 << 30,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
}
const LARGEST_BYTE_LENGTH = 8 * 2 ** 30

export function planCases({ op, dtype, sizes, placement, compress = 'none' }: BenchOptions): BenchCase[] {
  const ops = listOf(op, OPS, '--op')
  const dtypes = listOf(dtype, DTYPES, '--dtype')
  const placements = listOf(placement, PLACEMENTS, '--placement')
  const formats = listOf(compress, COMPRESSIONS, '--compress')
  const byteLengths = wordsOf(sizes, '--sizes').map(parseSize)
  const reductions = ops.filter((op) => op !== 'barrier')
  for (const op of reductions)
    for (const dtype of dtypes) {
      checkCombines(op, dtype)
      for (const format of formats) checkCompresses(op, dtype, format)
    }
  const emptyRounds: BenchCase[] = ops.includes('barrier')
    ? [{ op: 'barrier', dtype: dtypes[0]!, byteLength: 0, inPlace: false }]
    : []
  const ways = formats.map((format) => (format === 'none' ? {} : { compress: format }))
  const cases = dtypes.flatMap((dtype) =>
    byteLengths.flatMap((byteLength) =>
      reductions.flatMap((op) =>
        placements.flatMap((where) =>
          ways.map((way) => ({ op, dtype, byteLength, inPlace: where === 'in-place', ...way })),
        ),
      ),
    ),
  )
  return [...emptyRounds, ...cases]
}

function checkCompresses(op: AllReduceOp, dtype: BenchDtype, format: (typeof COMPRESSIONS)[number]): void {
  if (format === 'none' || (dtype === 'f32' && op !== 'min' && op !== 'max')) return
  throw new CommandError(
    `--compress ${format} does not go with ${op} of ${dtype}: give --dtype f32, and sum, average or adasum`,
  )
}

function checkCombines(op: AllReduceOp, dtype: BenchDtype): void {
  if (dtype.startsWith('f') || (op !== 'average' && op !== 'adasum')) return
  throw new CommandError(`--op ${op} does not combine ${dtype}: integers take sum, min and max`)
}

function listOf<T extends string>(text: string, known: readonly T[], option: string): T[] {
  return wordsOf(text, option).map((word) => {
    if (known.includes(word as T)) return word as T
    throw new CommandError(`${option} ${word} is unknown; there are ${known.join(', ')}`)
  })
}

function wordsOf(text: string, option: string): string[] {
  const words = text.split(',').map((word) => word.trim())
  if (!words.includes('')) return words
  throw new CommandError(`${option} "${text}" has an empty item: put one comma between two items, and none elsewhere`)
}

/** Bytes of `512KiB`, `1000000`, `32MiB`; a multiple of 8, so that it holds whole elements of every dtype. */
export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)([KMG]i?B|B|)$/.exec(text.trim())
  const byteLength = match ? Number(match[1]) * (UNITS[match[2]!] ?? NaN) : NaN
  if (byteLength >= 8 && byteLength <= LARGEST_BYTE_LENGTH && byteLength % 8 === 0) return byteLength
  throw new CommandError(`--sizes ${text} is not a size from 8 B to 8 GiB in multiples of 8 bytes, such as 512KiB`)
}
