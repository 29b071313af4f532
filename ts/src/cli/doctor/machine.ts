import { availableParallelism, cpus, totalmem } from 'node:os'

export interface MachineSection {
  processor: string
  cores: number
  /** As many as the operating system lets this process use. */
  availableCores: number
  memoryBytes: number
}

export function examineMachine(): MachineSection {
  const cores = cpus()
  return {
    processor: cores[0]?.model.trim() ?? 'unknown',
    cores: cores.length,
    availableCores: availableParallelism(),
    memoryBytes: totalmem(),
  }
}
