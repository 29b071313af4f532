/** What a benchmark prints for each case, as JSON and in the columns of nccl-tests. */

import type { CompressionFormat } from '../../compressor.ts'
import type { CommunicatorMetrics } from '../../call-records.ts'
import { BENCH_ARRAYS, type BenchDtype } from './cases.ts'

/** GB = 1e9 bytes. busbw = algbw x 2 (n-1)/n, the share of each rank's link that an optimal all-reduce would use. */
export interface BenchResult {
  readonly op: string
  readonly dtype: BenchDtype
  readonly n: number
  readonly bytes: number
  readonly transport: string
  readonly schedule: string
  readonly inPlace: boolean
  readonly minUs: number
  readonly p50Us: number
  readonly p99Us: number
  readonly algbwGBps: number
  readonly busbwGBps: number
  /**
   * How many elements, over all ranks, differ from what one process computes from the same inputs; where the call is
   * compressed, from rank 0's.
   */
  readonly wrong: number
  readonly compress?: CompressionFormat
  /** |result - exact| / |exact|: what compression costs. */
  readonly relativeError?: number
}

/** What identifies a case, and what the check of its result has found. */
type CheckedCase = Omit<BenchResult, 'minUs' | 'p50Us' | 'p99Us' | 'algbwGBps' | 'busbwGBps'>

export function resultOf(checked: CheckedCase, timesUs: Float64Array): BenchResult {
  const sorted = timesUs.toSorted()
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!
  const algbwGBps = checked.bytes / (at(0.5) * 1e3)
  const { wrong, compress, relativeError, ...rest } = checked
  return {
    ...rest,
    minUs: significant(sorted[0]!),
    p50Us: significant(at(0.5)),
    p99Us: significant(at(0.99)),
    algbwGBps: significant(algbwGBps),
    busbwGBps: significant((algbwGBps * 2 * (checked.n - 1)) / checked.n),
    wrong,
    ...(compress !== undefined && { compress }),
    ...(relativeError !== undefined && { relativeError: significant(relativeError) }),
  }
}

/** Four significant digits. */
export function significant(value: number): number {
  return Number(value.toPrecision(4))
}

const COLUMNS: readonly [title: string, width: number, of: (result: BenchResult) => string | number][] = [
  ['size(B)', 12, (r) => r.bytes],
  ['count', 11, (r) => r.bytes / BENCH_ARRAYS[r.dtype].BYTES_PER_ELEMENT],
  ['type', 5, (r) => r.dtype],
  ['redop', 8, (r) => r.op],
  ['schedule', 12, (r) => r.schedule],
  ['place', 9, (r) => (r.inPlace ? 'in-place' : 'out')],
  ['min(us)', 10, (r) => r.minUs],
  ['p50(us)', 10, (r) => r.p50Us],
  ['p99(us)', 10, (r) => r.p99Us],
  ['algbw(GB/s)', 12, (r) => r.algbwGBps],
  ['busbw(GB/s)', 12, (r) => r.busbwGBps],
  ['#wrong', 7, (r) => r.wrong],
]

const COMPRESSION_COLUMNS: typeof COLUMNS = [
  ['compress', 9, (r) => r.compress ?? 'none'],
  ['error', 10, (r) => r.relativeError ?? 0],
]

const columnsOf = (isCompressed: boolean): typeof COLUMNS => [...COLUMNS, ...(isCompressed ? COMPRESSION_COLUMNS : [])]

/**
 * @param isCompressed - whether any case is
 * @param binding - what computes
 */
export function tableHead(
  n: number,
  transport: string,
  isCompressed: boolean,
  { kind, isa }: CommunicatorMetrics['binding'],
): string {
  const titles = columnsOf(isCompressed)
    .map(([title, width]) => title.padStart(width))
    .join('')
  const computing = `${kind === 'wasm' ? 'WebAssembly' : 'native'} (${isa})`
  return `# all-reduce, ${n} ranks, ${transport}, ${computing}; GB = 1e9; busbw = algbw x ${((2 * (n - 1)) / n).toFixed(3)}\n${titles}`
}

export function tableRow(result: BenchResult, isCompressed: boolean): string {
  return columnsOf(isCompressed)
    .map(([, width, of]) => String(of(result)).padStart(width))
    .join('')
}
