/**
 * The fold of a slice: minimum, maximum, and the sum of integers. No element depends on another one or on the order of
 * the inputs, so a slice is cut anywhere, and there is nothing to exchange. It is driven like a reduction, by run.ts.
 */
import { type Binding, FOLD_OP_CODES } from '../binding/binding.ts'
import type { Vector } from '../tensor/vector.ts'
import type { FoldOp } from '../types.ts'
import { breaksOf } from './calls.ts'
import { SegmentRows } from './segment-rows.ts'
import type { KernelTask, ReduceBody, ReduceWork } from './work.ts'

export function* foldSlice(op: FoldOp, work: ReduceWork): ReduceBody {
  yield { kind: 'kernels', phase: 'combine', tasks: foldTasks(op, work) }
  return new SegmentRows(0, 0, 0)
}

function foldTasks(op: FoldOp, work: ReduceWork): KernelTask[] {
  const { layout, resultDtype, slice, inputs, out } = work
  const elementCount = slice.end - slice.begin
  const chunk = slice.callElements
  const ends = breaksOf(layout.dtype, inputs, resultDtype, out)
  for (let end = chunk; end < elementCount + chunk; end += chunk) ends.add(Math.min(end, elementCount))
  let at = 0
  return [...ends]
    .sort((a, b) => a - b)
    .map((end) => {
      const begin = at
      at = end
      // The task is made when it runs, because which inputs take part may be known only then.
      const task = (): FoldTask => foldPart(op, work, begin, end)
      return { needs: end, sync: (b) => task().sync(b), async: (b) => task().async(b) }
    })
}

type FoldTask = Pick<KernelTask, 'sync' | 'async'>

function foldPart(op: FoldOp, work: ReduceWork, begin: number, end: number): FoldTask {
  const { layout, resultDtype, inputs, weights, out } = work
  const { dtype } = layout
  const part = (vector: Vector, byteLength: number) => vector.contiguous(begin * byteLength, end * byteLength)
  const parts = inputs.filter((_, i) => weights[i]! > 0).map((input) => part(input, dtype.byteLength))
  const result = part(out, resultDtype.byteLength)
  if (resultDtype === dtype) return foldTask(op, dtype.code, parts, result)
  return widenedTask(op, dtype.code, parts, resultDtype.code, result, end - begin)
}

function foldTask(op: FoldOp, dtype: number, inputs: Uint8Array[], out: Uint8Array): FoldTask {
  const args = [FOLD_OP_CODES[op], dtype, inputs, out] as const
  return { sync: (b) => b.fold(...args), async: (b) => b.foldAsync(...args) }
}

/** Folds a half format in that format, and stores the result as f32. */
function widenedTask(
  op: FoldOp,
  dtype: number,
  inputs: Uint8Array[],
  resultDtype: number,
  out: Uint8Array,
  elementCount: number,
): FoldTask {
  const folded = (): Uint8Array => new Uint8Array(inputs[0]!.length)
  const counts = Float64Array.of(elementCount)
  const one = Float64Array.of(1)
  return {
    sync: (b: Binding) => {
      const half = folded()
      foldTask(op, dtype, inputs, half).sync(b)
      b.combine(dtype, resultDtype, [half], counts, one, out)
    },
    async: async (b: Binding) => {
      const half = folded()
      await foldTask(op, dtype, inputs, half).async(b)
      await b.combineAsync(dtype, resultDtype, [half], counts, one, out)
    },
  }
}
