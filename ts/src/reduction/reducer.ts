/** The operators over the binding's kernels: those with coefficients, and the folds. */
import type { Binding } from '../binding/binding.ts'
import type { ReduceJob, Reducer } from '../collectives/reducer.ts'
import { foldSlice } from '../kernels/fold.ts'
import { type Rule, usesGram } from '../kernels/rule.ts'
import { reduceSlice } from '../kernels/reduce.ts'
import { isOffThread, offThread } from '../kernels/off-thread.ts'
import { arriving, cooperative, run } from '../kernels/run.ts'
import type { SegmentRows } from '../kernels/segment-rows.ts'
import type { ReduceBody } from '../kernels/work.ts'
import type { Dtype } from '../tensor/dtype.ts'
import type { Tuning } from '../tuning.ts'
import type { FoldOp, OpName, ReduceOp } from '../types.ts'
import type { Operation } from './operation.ts'
import { isFold } from './options.ts'
import { scanElements, scanNonFinite } from './scan.ts'

export function makeReducer({ name, rule }: Operation, dtype: Dtype, binding: Binding, tuning: Tuning): Reducer {
  return isFold(name, dtype) ? makeFolder(name, binding, tuning) : makeCombiner(name, rule!, binding, tuning)
}

/**
 * The coefficients of an operator that does not look at the vectors, from the weights of its inputs; undefined for
 * adasum.
 */
export function linearCoefficients(op: ReduceOp): ((weights: Float64Array) => Float64Array) | undefined {
  if (op === 'adasum') return undefined
  return (weights) => {
    const total = op === 'average' ? weights.reduce((sum, weight) => sum + weight, 0) : 1
    return weights.map((weight) => (op === 'average' ? weight : Math.min(1, weight)) / total)
  }
}

function makeCombiner(op: OpName, rule: Rule, binding: Binding, tuning: Tuning): Reducer {
  return {
    seesNonFinite: usesGram(op),
    isSinglePass: !usesGram(op),
    hasNonFinite: (layout, data, check) => scanNonFinite(binding, layout, data, check),
    nodeCount: binding.nodeCount,
    addNodes: binding.gramFinish,
    reduce: (job) => runBody(reduceSlice(rule, job, binding), job, binding, tuning),
  }
}

/** Nothing is multiplied, so no norm can overflow: an input is finite if its elements are. */
function makeFolder(op: FoldOp, binding: Binding, tuning: Tuning): Reducer {
  return {
    seesNonFinite: false,
    isSinglePass: true,
    hasNonFinite: (layout, data, check) => scanElements(binding, layout, data, check),
    nodeCount: binding.nodeCount,
    addNodes: binding.gramFinish,
    reduce: (job) => runBody(foldSlice(op, job), job, binding, tuning),
  }
}

function runBody(body: ReduceBody, job: ReduceJob, binding: Binding, tuning: Tuning): Promise<SegmentRows> {
  const byteLength = job.inputs.reduce((sum, input) => sum + input.byteLength, 0)
  const runTasks = isOffThread(binding, job.memory, byteLength, tuning)
    ? offThread(job.observer)
    : cooperative(job.check, job.observer)
  const inOrder = job.arrival ? arriving(job.arrival, job.check, runTasks) : runTasks
  return run(body, binding, inOrder, job)
}
