/** What a benchmark prints of a case, as JSON and in the columns of nccl-tests. */

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
  /** Elements that differ from what one process computes from the same inputs, over all ranks. */
  readonly wrong: number
}

export function resultOf(
  place: Pick<BenchResult, 'op' | 'dtype' | 'n' | 'bytes' | 'transport' | 'schedule' | 'inPlace' | 'wrong'>,
  timesUs: Float64Array,
): BenchResult {
  const sorted = timesUs.toSorted()
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!
  const algbwGBps = place.bytes / (at(0.5) * 1e3)
  const { wrong, ...rest } = place
  return {
    ...rest,
    minUs: significant(sorted[0]!),
    p50Us: significant(at(0.5)),
    p99Us: significant(at(0.99)),
    algbwGBps: significant(algbwGBps),
    busbwGBps: significant((algbwGBps * 2 * (place.n - 1)) / place.n),
    wrong,
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

export function tableHead(n: number, transport: string): string {
  const titles = COLUMNS.map(([title, width]) => title.padStart(width)).join('')
  return `# all-reduce, ${n} ranks, ${transport}; GB = 1e9; busbw = algbw x ${((2 * (n - 1)) / n).toFixed(3)}\n${titles}`
}

export function tableRow(result: BenchResult): string {
  return COLUMNS.map(([, width, of]) => String(of(result)).padStart(width)).join('')
}
