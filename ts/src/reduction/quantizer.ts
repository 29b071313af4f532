import type { Binding } from '../binding/binding.ts'
import type { QuantizeJob, Quantizer } from '../collectives/compression/quantizer.ts'
import { type Coding, dequantizeTasks, quantizeTasks } from '../kernels/quantize.ts'
import { isOffThread, offThread } from '../kernels/off-thread.ts'
import { cooperative } from '../kernels/run.ts'
import type { KernelTask } from '../kernels/work.ts'
import type { Tuning } from '../tuning.ts'

export function makeQuantizer(coding: Coding, binding: Binding, tuning: Tuning): Quantizer {
  const run = ({ numbers, memory, check }: QuantizeJob, tasks: readonly KernelTask[]): Promise<void> => {
    check()
    // No observer is told of these tasks: they are a part of the exchange or the gather around them.
    const runTasks = isOffThread(binding, memory, numbers.byteLength, tuning) ? offThread() : cooperative(check)
    return runTasks(tasks, binding, 'exchange')
  }
  return {
    coding,
    quantize: (job, residual) => run(job, quantizeTasks({ ...job, coding }, residual)),
    dequantize: (job) => run(job, dequantizeTasks({ ...job, coding })),
  }
}
