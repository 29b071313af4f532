/** `adasum doctor`: what this machine offers, and what is wrong with it. */
import type { Command } from 'commander'
import { FAILURE } from '../command-error.ts'
import { examineBinding } from './binding.ts'
import { examineGpu } from './gpu.ts'
import { examineMachine } from './machine.ts'
import { examineNetwork } from './network.ts'
import type { Problem } from './problem.ts'
import { type Report, formatReport } from './report.ts'
import { examineSharedMemory } from './shared-memory.ts'
import { examineVersions } from './versions.ts'

export function defineDoctor(command: Command, setExitCode: (code: number) => void): void {
  command
    .description('check this machine: addon, processor, shared memory, network, GPU, versions')
    .option('--json', 'print the report as JSON')
    .action(async ({ json = false }: { json?: boolean }) => {
      const report = await examine()
      console.log(json ? JSON.stringify(report, null, 2) : formatReport(report))
      if (!report.ok) setExitCode(FAILURE)
    })
}

async function examine(): Promise<Report> {
  const problems: Problem[] = []
  const report = (problem: Problem): void => void problems.push(problem)
  const versions = examineVersions()
  const machine = examineMachine()
  const binding = examineBinding(report)
  const sharedMemory = await examineSharedMemory(report, process.env)
  const network = await examineNetwork(report)
  const gpu = await examineGpu(report)
  const ok = problems.every(({ essential }) => !essential)
  return { ok, versions, machine, binding, sharedMemory, network, gpu, problems }
}
