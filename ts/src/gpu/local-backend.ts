/** The local functions on a device: every input is copied to the device, and the result back. */
import { emitWarning } from '#platform'
import { AdasumError } from '../errors.ts'
import type { ReduceOp } from '../types.ts'
import { sharedDevice } from './device.ts'
import type { ReductionRecord } from './gpu-binding.ts'
import { type GpuJob, checkForGpu } from './gpu-job.ts'
import { type GpuArray, GpuReducer } from './gpu-reducer.ts'

/**
 * Reduces on the shared device. Nothing is written to `out` if it fails.
 *
 * @throws AdasumError ERR_UNSUPPORTED for f64, operators with parameters, more than 16 inputs, and without the package adasum-gpu or an adapter;
 *   ERR_OUT_OF_MEMORY; ERR_DEVICE_LOST. Inputs that are not finite are reported, not thrown, whatever the policy.
 */
export async function reduceOnGpu(job: GpuJob): Promise<ReductionRecord> {
  const { op, layout, inputs, out, resultDtype } = job
  checkForGpu(job)
  const reducer = await GpuReducer.of(await sharedDevice(), inputs.length, layout)
  try {
    for (const [slot, input] of inputs.entries()) await reducer.write(slot, input as GpuArray)
    const onNonFinite = job.onNonFinite === 'propagate' ? 'propagate' : 'skip'
    const record = await reducer.reduce(op as ReduceOp, {
      onNonFinite,
      ...(resultDtype.name === 'f32' ? { result: 'f32' } : {}),
    })
    if (job.onNonFinite !== 'throw' || record.nonFinite.length === 0) await reducer.read(out as GpuArray)
    return record
  } finally {
    await reducer.close().catch(() => undefined)
  }
}

let hasWarned = false

/**
 * The same for callers that leave the choice of CPU or GPU to this package. Returns undefined if the CPU is to reduce,
 * because no device can, or only a software renderer could; warns of that once in a process.
 */
export async function reduceOnGpuIfPossible(job: GpuJob): Promise<ReductionRecord | undefined> {
  try {
    const { adapter } = await sharedDevice()
    if (adapter.kind !== 'cpu') return await reduceOnGpu(job)
    warnOnce(`the adapter ${adapter.name} is a software renderer, slower than the CPU's own kernels.`)
  } catch (error) {
    if (!(error instanceof AdasumError) || error.code === 'ERR_ARGUMENT') throw error
    warnOnce(error.message)
  }
  return undefined
}

function warnOnce(reason: string): void {
  if (hasWarned) return
  hasWarned = true
  emitWarning(`the CPU reduces instead of a GPU: ${reason}`, 'ADASUM_GPU')
}
