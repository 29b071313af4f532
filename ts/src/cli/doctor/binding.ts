import { bindingInUse, loadBinding } from '#binding'
import { ABI } from '../../binding/binding.ts'
import { ADDON } from '../../binding/installation.ts'
import { AdasumError, reasonOf } from '../../errors.ts'
import type { Problem } from './problem.ts'

export interface BindingSection {
  loads: boolean
  /** The native addon or WebAssembly; null if neither loads. */
  kind: 'native' | 'wasm' | null
  /** The contract's version that this package needs. */
  neededAbi: number
  /** The contract's version that the binding has; null if it does not load. */
  abi: number | null
  /** The instruction set in use; null if the binding does not load. */
  isa: string | null
  /** All instruction sets that this processor can run. */
  isas: string[]
}

export function examineBinding(report: (problem: Problem) => void): BindingSection {
  try {
    const binding = loadBinding()
    const { kind, reason } = bindingInUse()
    if (reason !== null) report({ section: 'binding', essential: false, message: reason, action: fallbackAction() })
    return { loads: true, kind, neededAbi: ABI, abi: binding.abi(), isa: binding.isa(), isas: binding.isas() }
  } catch (error) {
    report({ section: 'binding', essential: true, message: reasonOf(error), action: actionFor(error) })
    return { loads: false, kind: null, neededAbi: ABI, abi: null, isa: null, isas: [] }
  }
}

function fallbackAction(): string {
  return `nothing, if WebAssembly is fast enough: the bits are the same. Else: ${ADDON.remedy(true)}`
}

function actionFor(error: unknown): string {
  const isSetting = error instanceof AdasumError && error.code === 'ERR_ENVIRONMENT'
  if (isSetting && error.message.startsWith('ADASUM_BINDING'))
    return 'unset ADASUM_BINDING, or set it to native or wasm'
  if (isSetting) return 'unset ADASUM_ISA, or set it to an instruction set that this processor has'
  return ADDON.remedy(false)
}
