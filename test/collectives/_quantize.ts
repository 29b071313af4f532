/** Quantising from its definition: slow, and with nothing in common with the kernels. */
import type { CompressionFormat } from '../../ts/src/compressor.ts'
import { round, widen } from '../reduction/_half.ts'

const LARGEST_HALF = { f16: 65_504, bf16: widen('bf16', 0x7f7f) }
const SMALLEST_NORMAL = 2 ** -126

/** What the codes of a vector stand for, and what they leave over. */
export interface Quantised {
  numbers: Float32Array
  residual: Float32Array
}

/** @param residual - added first */
export function quantise(
  { format, block }: { format: CompressionFormat; block: number },
  segments: readonly number[],
  vector: Float32Array,
  residual: Float32Array = new Float32Array(vector.length),
): Quantised {
  const wanted = vector.map((x, i) => x + residual[i]!)
  const numbers = new Float32Array(vector.length)
  let begin = 0
  for (const count of segments) {
    for (let at = begin; at < begin + count; at += block) {
      const part = wanted.subarray(at, Math.min(at + block, begin + count))
      numbers.set(format === 'int8' ? int8(part) : part.map((x) => half(format, x)), at)
    }
    begin += count
  }
  const left = wanted.map((x, i) => x - numbers[i]!)
  return { numbers, residual: left.map((x) => (Number.isFinite(x) ? x : 0)) }
}

function half(format: 'f16' | 'bf16', x: number): number {
  const most = LARGEST_HALF[format]
  return widen(format, round(format, Number.isFinite(x) ? Math.max(-most, Math.min(most, x)) : x))
}

function int8(part: Float32Array): Float32Array {
  if (!part.every(Number.isFinite)) return part.map(() => NaN)
  const scale = Math.fround(Math.max(...part.map(Math.abs)) / 127)
  if (scale < SMALLEST_NORMAL) return part.map(() => 0)
  const inverse = Math.fround(1 / scale)
  return part.map((x) => roundEven(Math.fround(x * inverse)) * scale)
}

function roundEven(x: number): number {
  const floor = Math.floor(x)
  if (x - floor !== 0.5) return Math.round(x) + 0
  return (floor % 2 === 0 ? floor : floor + 1) + 0
}
