/** What a reduction must give, computed in one process. */
import { dtypeOf } from '../../tensor/dtype.ts'
import { adasumSync, averageSync, sumSync } from '../../reduction/local.ts'
import type { AllReduceOp, FloatArray } from '../../types.ts'
import type { BenchArray } from './cases.ts'

const LOCAL = { sum: sumSync, average: averageSync, adasum: adasumSync }

/** Integers are added modulo 2^bits. */
export function reduceByDefinition(op: AllReduceOp, inputs: readonly BenchArray[]): BenchArray {
  const isFloat = dtypeOf(inputs[0])?.isFloat === true
  if (isFloat && op !== 'min' && op !== 'max') return LOCAL[op](inputs as FloatArray[]).result
  // All of them have numbers, or all have bigints.
  const [first, ...others] = inputs as readonly Int32Array[]
  const want = first!.slice()
  for (const other of others)
    for (let i = 0; i < want.length; i++) want[i] = join(op as 'sum' | 'min' | 'max', want[i]!, other[i]!)
  return want
}

function join(op: 'sum' | 'min' | 'max', a: number, b: number): number {
  // The array wraps what it stores.
  if (op === 'sum') return a + b
  return (op === 'min') === a < b ? a : b
}

/** |found - want| / |want|, in f64. */
export function relativeError(found: Float32Array, want: Float32Array): number {
  let [difference, norm] = [0, 0]
  for (let i = 0; i < want.length; i++) {
    difference += (found[i]! - want[i]!) ** 2
    norm += want[i]! ** 2
  }
  return difference === 0 ? 0 : Math.sqrt(difference / norm)
}
