import { AdasumError } from '../../errors.ts'
import { adapters } from '../../gpu/device.ts'
import type { GpuAdapter } from '../../gpu/gpu-binding.ts'
import { INSTALL_COMMAND } from '../../gpu/load.ts'
import type { Problem } from './report.ts'

export interface GpuSection {
  /** Whether the optional package adasum-gpu is there and loads. */
  isInstalled: boolean
  adapters: GpuAdapter[]
}

/** Nothing here is essential: whoever has no GPU needs none. */
export async function examineGpu(report: (problem: Problem) => void): Promise<GpuSection> {
  try {
    const found = await adapters()
    if (found.length === 0) reportNoAdapter(report)
    return { isInstalled: true, adapters: found }
  } catch (error) {
    const isAbsent = error instanceof AdasumError && error.code === 'ERR_UNSUPPORTED'
    if (!isAbsent) {
      const message = error instanceof Error ? error.message : String(error)
      report({ section: 'gpu', essential: false, message, action: `install it again: ${INSTALL_COMMAND}` })
    }
    return { isInstalled: false, adapters: [] }
  }
}

function reportNoAdapter(report: (problem: Problem) => void): void {
  const message = 'adasum-gpu is installed, and finds 0 adapters'
  const action = 'install the driver of the GPU (on Linux also the Vulkan loader, libvulkan1)'
  report({ section: 'gpu', essential: false, message, action })
}
