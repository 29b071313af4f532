/** The report of `adasum doctor`: its shape, which `--json` prints as it is, and its form for people. */
import type { BindingSection } from './binding.ts'
import type { GpuSection } from './gpu.ts'
import type { MachineSection } from './machine.ts'
import type { NetworkSection } from './network.ts'
import type { Problem } from './problem.ts'
import type { SharedMemorySection } from './shared-memory.ts'
import type { VersionsSection } from './versions.ts'

export interface Report {
  /** Whether no problem is essential. */
  ok: boolean
  versions: VersionsSection
  machine: MachineSection
  binding: BindingSection
  sharedMemory: SharedMemorySection
  network: NetworkSection
  gpu: GpuSection
  problems: Problem[]
}

function formatSharedMemory({ isUsable, isWanted, limitBytes }: SharedMemorySection): string {
  if (!isWanted) return 'switched off'
  if (!isUsable) return 'cannot be used: ranks of this machine use TCP'
  return limitBytes === null ? 'can be used' : `can be used, up to ${limitBytes} bytes a rank`
}

export function formatReport({ ok, versions, machine, binding, sharedMemory, network, gpu, problems }: Report): string {
  const libc = versions.glibc === null ? '' : `, glibc ${versions.glibc}`
  const rows: [string, string][] = [
    ['adasum', versions.adasum],
    ['Node.js', versions.node],
    ['platform', `${versions.platform}-${versions.arch}${libc}`],
    ['processor', `${machine.processor}, ${machine.cores} cores (${machine.availableCores} for this process)`],
    ['memory', `${(machine.memoryBytes / 2 ** 30).toFixed(1)} GiB`],
    ['binding', bindingText(binding)],
    ['shared', formatSharedMemory(sharedMemory)],
    ['addresses', network.addresses.map((entry) => `${entry.address} (${entry.interface})`).join(', ') || 'none'],
    [
      'loopback',
      network.loopback.connects ? `connects in ${network.loopback.milliseconds.toFixed(1)} ms` : 'does not connect',
    ],
  ]
  rows.push(...gpuRows(gpu))
  const table = rows.map(([name, value]) => `${name.padEnd(10)} ${value}`)
  const found = problems.map(({ message, action }) => `problem: ${message}\n  what to do: ${action}`)
  return [...table, ...found, ok ? 'All that is essential works.' : 'Something essential does not work.'].join('\n')
}

function bindingText({ loads, kind, abi, isa, isas }: BindingSection): string {
  if (!loads) return 'does not load'
  const name = kind === 'wasm' ? 'WebAssembly' : 'native addon'
  return `${name}, ABI ${abi}, ${isa} (of ${isas.join(', ')})`
}

function gpuRows({ isInstalled, adapters, used }: GpuSection): [string, string][] {
  if (!isInstalled) return [['gpu', 'adasum-gpu is not installed (it is optional)']]
  if (adapters.length === 0) return [['gpu', 'no adapter']]
  return adapters.map((adapter) => {
    const limits = `bindings of ${mebibytes(adapter.maxBindingBytes)}, buffers of ${mebibytes(adapter.maxBufferBytes)}`
    const use = adapter.index === used ? ', used by default' : ''
    return ['gpu', `${adapter.index}: ${adapter.name} (${adapter.backend}, ${adapter.kind}), ${limits}${use}`]
  })
}

function mebibytes(bytes: number): string {
  return `${Math.floor(bytes / 2 ** 20)} MiB`
}
