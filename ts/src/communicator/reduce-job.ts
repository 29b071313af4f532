/** Makes of an all-reduce's plan what does its work: reducers and quantisers over a binding. */
import type { Binding } from '../binding/binding.ts'
import { Feedback } from '../collectives/compression/feedback.ts'
import type { Compression } from '../collectives/compression/quantizer.ts'
import type { Hierarchy } from '../collectives/hierarchy.ts'
import type { AllReduceJob } from '../collectives/job.ts'
import { residualsOf } from '../compressor.ts'
import { makeQuantizer } from '../reduction/quantizer.ts'
import { plainOperation } from '../reduction/operation.ts'
import { linearCoefficients, makeReducer } from '../reduction/reducer.ts'
import type { ScratchPool } from '../tensor/scratch.ts'
import type { Tuning } from '../tuning.ts'
import type { AllReducePlan } from './reduce-plan.ts'

/** What a plan does not know of a job: its memory, and its quantiser. */
type JobMemory = Pick<AllReduceJob, 'data' | 'out' | 'scratch' | 'check' | 'compression'>

export function allReduceJobOf(
  plan: AllReducePlan,
  binding: Binding,
  tuning: Tuning,
  { data, out, scratch, check, compression }: JobMemory,
): AllReduceJob {
  const { operation, onNonFinite, weight, layout, outLayout, detail, buckets } = plan
  const hierarchy = hierarchyOf(plan, binding, tuning)
  const reducer = makeReducer(operation, layout.dtype, binding, tuning)
  return {
    layout,
    onNonFinite,
    weight,
    buckets,
    detail,
    hierarchy,
    data,
    out,
    scratch,
    check,
    compression,
    resultDtype: (outLayout ?? layout).dtype,
    // Gradients of one machine may cancel what is not finite, or overflow: the Gram matrices of machines prove nothing.
    reducer: hierarchy ? { ...reducer, seesNonFinite: false } : reducer,
  }
}

function hierarchyOf({ hierarchy, layout }: AllReducePlan, binding: Binding, tuning: Tuning): Hierarchy | undefined {
  if (!hierarchy) return undefined
  const { innerOp, order, tree } = hierarchy
  const innerReducer = makeReducer(plainOperation(innerOp), layout.dtype, binding, tuning)
  const innerCoefficients = linearCoefficients(innerOp)
  return { order, innerLevelCount: tree.innerLevelCount, innerReducer, innerCoefficients }
}

/** @throws AdasumError ERR_NOT_READY if another call is using a segment of the compressor */
export function compressionOf(
  { compressor, layout }: AllReducePlan,
  binding: Binding,
  tuning: Tuning,
  scratch: ScratchPool,
): Compression | undefined {
  if (!compressor) return undefined
  const quantizer = makeQuantizer(compressor, binding, tuning)
  const feedback = compressor.errorFeedback ? new Feedback(residualsOf(compressor), layout, scratch) : undefined
  return { quantizer, feedback, firstElement: 0 }
}
