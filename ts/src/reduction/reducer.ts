/** The operators sum, average and adasum over the binding's kernels. */
import type { Binding } from '../binding/binding.ts'
import type { ReduceJob, Reducer } from '../collectives/reducer.ts'
import { type SliceStatistics, convert, reduceSlice } from '../kernels/reduce.ts'
import { cooperative, offThread, run } from '../kernels/run.ts'
import { totalByteLength } from '../tensor/check.ts'
import type { Layout } from '../tensor/layout.ts'
import type { ReduceOp } from '../types.ts'
import { scanNonFinite } from './scan.ts'

/** Below this many bytes of input a trip to another thread costs more than the kernel. */
const OFF_THREAD_BYTE_LENGTH = 1 << 20

export function makeReducer(op: ReduceOp, binding: Binding): Reducer {
  return {
    hasNonFinite: (layout: Layout, data: Uint8Array, check: () => void) => scanNonFinite(binding, layout, data, check),
    convert: (layout, data, resultDtype, out) => convert(binding, layout.dtype, data, resultDtype, out),
    nodeCount: (pieces: Float64Array) => binding.nodeCount(pieces),
    addNodes: binding.gramFinish,
    reduce: (job: ReduceJob): Promise<SliceStatistics> => {
      const body = reduceSlice({ op, ...job }, binding)
      const byteLength = totalByteLength(job.inputs)
      const isOffThread = job.memory === 'pool' && byteLength > OFF_THREAD_BYTE_LENGTH
      return run(body, binding, isOffThread ? offThread : cooperative(job.check), job.exchange)
    },
  }
}
