/**
 * A reduction that the local functions ask of a device, and the check whether any device can do it, for which none is
 * opened.
 */
import { AdasumError } from '../errors.ts'
import type { Dtype } from '../tensor/dtype.ts'
import type { Layout } from '../tensor/layout.ts'
import { OP_CODES } from '../binding/binding.ts'
import type { OnNonFinite, OpName, ReducibleArray } from '../types.ts'

/** Most inputs that a device combines. */
const MAX_INPUTS = 16

export interface GpuJob {
  readonly op: OpName
  readonly layout: Layout
  readonly inputs: readonly ReducibleArray[]
  readonly out: ReducibleArray
  readonly resultDtype: Dtype
  readonly onNonFinite: OnNonFinite
}

/** @throws AdasumError ERR_UNSUPPORTED if no device can do the job */
export function checkForGpu(job: GpuJob): void {
  const problem = problemOf(job)
  if (problem !== undefined) throw new AdasumError('ERR_UNSUPPORTED', `${problem} Use backend 'cpu'.`)
}

function problemOf({ op, layout, inputs }: GpuJob): string | undefined {
  if (!Object.hasOwn(OP_CODES, op)) return `op is ${op}, a GPU computes ${Object.keys(OP_CODES).join(', ')}.`
  if (layout.dtype.name === 'f64') return 'the inputs are f64, a GPU reduces f32, f16 and bf16.'
  if (inputs.length > MAX_INPUTS) return `there are ${inputs.length} inputs, a GPU reduces up to ${MAX_INPUTS}.`
  return undefined
}
