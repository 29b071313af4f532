import type { Binding } from '../binding/binding.ts'
import type { QuantizeJob, Quantizer } from '../collectives/quantizer.ts'
import { type Coding, dequantizeTasks, quantizeTasks } from '../kernels/quantize.ts'
import { offThread } from '../kernels/off-thread.ts'
import type { KernelTask } from '../kernels/reduce.ts'
import { cooperative } from '../kernels/run.ts'
import type { Tuning } from '../tuning.ts'

export function makeQuantizer(coding: Coding, binding: Binding, { offThreadByteLength }: Tuning): Quantizer {
  const run = ({ numbers, memory, check }: QuantizeJob, tasks: readonly KernelTask[]): Promise<void> => {
    // Below, a trip to another thread costs more than the kernel.
    const isOffThread = memory === 'pool' && numbers.byteLength >= offThreadByteLength
    check()
    // Nobody is told: they are a part of the exchange or the gather around them.
    return (isOffThread ? offThread() : cooperative(check))(tasks, binding, 'exchange')
  }
  return {
    coding,
    quantize: (job, residual) => run(job, quantizeTasks({ ...job, coding }, residual)),
    dequantize: (job) => run(job, dequantizeTasks({ ...job, coding })),
  }
}
