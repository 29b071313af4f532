import { AdasumError, reasonOf } from '../../errors.ts'
import { adapters } from '../../gpu/device.ts'
import type { GpuAdapter } from '../../gpu/gpu-binding.ts'
import { INSTALL_COMMAND } from '../../gpu/load.ts'
import type { Problem } from './problem.ts'

export interface GpuSection {
  /** Whether the optional package adasum-gpu is there and loads. */
  isInstalled: boolean
  adapters: GpuAdapter[]
  /** Index of the one that is used unless a program names another. */
  used: number | null
}

/** The variable in which a part of an adapter's name chooses it. */
const ADAPTER_VARIABLE = 'ADASUM_GPU_ADAPTER'

/** No problem here is essential: a machine without a GPU needs none. */
export async function examineGpu(report: (problem: Problem) => void): Promise<GpuSection> {
  try {
    const found = await adapters()
    if (found.length === 0) reportNoAdapter(report)
    return { isInstalled: true, adapters: found, used: usedAdapter(found, report) }
  } catch (error) {
    const isAbsent = error instanceof AdasumError && error.code === 'ERR_UNSUPPORTED'
    if (!isAbsent) {
      const message = reasonOf(error)
      report({ section: 'gpu', essential: false, message, action: `install it again: ${INSTALL_COMMAND}` })
    }
    return { isInstalled: false, adapters: [], used: null }
  }
}

function reportNoAdapter(report: (problem: Problem) => void): void {
  const message = 'adasum-gpu is installed, and finds 0 adapters'
  const action = 'install the driver of the GPU (on Linux also the Vulkan loader, libvulkan1)'
  report({ section: 'gpu', essential: false, message, action })
}

function usedAdapter(found: readonly GpuAdapter[], report: (problem: Problem) => void): number | null {
  const part = process.env[ADAPTER_VARIABLE]
  const isUsed = ({ name, isDefault }: GpuAdapter): boolean =>
    part ? name.toLowerCase().includes(part.toLowerCase()) : isDefault
  const used = found.find(isUsed)
  if (part && !used && found.length > 0) {
    const message = `${ADAPTER_VARIABLE} is ${part}, and none of the ${found.length} adapters has that in its name`
    const action = `name one of ${found.map(({ name }) => name).join(', ')}, or leave ${ADAPTER_VARIABLE} unset`
    report({ section: 'gpu', essential: false, message, action })
  }
  return used?.index ?? null
}
