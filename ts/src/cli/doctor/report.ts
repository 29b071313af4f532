/** The report of `adasum doctor`: its shape, which `--json` prints as it is, and its form for people. */
import type { BindingSection } from './binding.ts'
import type { MachineSection } from './machine.ts'
import type { NetworkSection } from './network.ts'
import type { VersionsSection } from './versions.ts'

export interface Problem {
  section: 'versions' | 'machine' | 'binding' | 'network'
  /** Whether nothing works without it; only such a problem makes the exit code 1. */
  essential: boolean
  message: string
  /** What to do about it. */
  action: string
}

export interface Report {
  /** No problem is essential. */
  ok: boolean
  versions: VersionsSection
  machine: MachineSection
  binding: BindingSection
  network: NetworkSection
  problems: Problem[]
}

export function formatReport({ ok, versions, machine, binding, network, problems }: Report): string {
  const libc = versions.glibc === null ? '' : `, glibc ${versions.glibc}`
  const rows: [string, string][] = [
    ['adasum', versions.adasum],
    ['Node.js', versions.node],
    ['platform', `${versions.platform}-${versions.arch}${libc}`],
    ['processor', `${machine.processor}, ${machine.cores} cores (${machine.availableCores} for this process)`],
    ['memory', `${(machine.memoryBytes / 2 ** 30).toFixed(1)} GiB`],
    ['binding', binding.loads ? `ABI ${binding.abi}, ${binding.isa} (of ${binding.isas.join(', ')})` : 'does not load'],
    ['addresses', network.addresses.map((entry) => `${entry.address} (${entry.interface})`).join(', ') || 'none'],
    [
      'loopback',
      network.loopback.connects ? `connects in ${network.loopback.milliseconds.toFixed(1)} ms` : 'does not connect',
    ],
  ]
  const table = rows.map(([name, value]) => `${name.padEnd(10)} ${value}`)
  const found = problems.map(({ message, action }) => `problem: ${message}\n  what to do: ${action}`)
  return [...table, ...found, ok ? 'All that is essential works.' : 'Something essential does not work.'].join('\n')
}
