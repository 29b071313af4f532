/** What a combination of many inputs tells of them, layer by layer. */
import { averageSync } from 'adasum'
import type { LogPoint } from './cell.ts'

/**
 * @param inputs - at least two
 * @param result - what an operator has made of them
 * @param sizes - elements of the layers
 */
export function logPointOf(
  progress: number,
  inputs: readonly Float32Array[],
  result: Float32Array,
  sizes: readonly number[],
): LogPoint {
  const count = inputs.length
  const mean = averageSync(inputs).result
  const point = { orthogonality: [] as number[], step: [] as number[], signal: [] as number[] }
  let begin = 0
  for (const size of sizes) {
    const squared = (array: Float32Array): number => squareOf(array.subarray(begin, begin + size))
    const all = inputs.reduce((sum, input) => sum + squared(input), 0)
    const [ofMean, ofResult] = [squared(mean), squared(result)]
    const variance = (all - count * ofMean) / (count - 1)
    point.orthogonality.push(ofResult / all)
    point.step.push(Math.sqrt(ofResult / ofMean))
    point.signal.push((ofMean - variance / count) / variance)
    begin += size
  }
  return { progress, ...point }
}

function squareOf(array: Float32Array): number {
  return array.reduce((sum, value) => sum + value * value, 0)
}
