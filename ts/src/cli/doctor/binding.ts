import { ABI } from '../../binding/binding.ts'
import { loadBinding } from '../../binding/native.ts'
import { AdasumError } from '../../errors.ts'
import type { Problem } from './report.ts'

export interface BindingSection {
  loads: boolean
  /** The contract's version that this package needs. */
  neededAbi: number
  /** The contract's version that the binding has; null if it does not load. */
  abi: number | null
  /** The instruction set in use; null if the binding does not load. */
  isa: string | null
  /** All that this processor can run. */
  isas: string[]
}

export function examineBinding(report: (problem: Problem) => void): BindingSection {
  try {
    const binding = loadBinding()
    return { loads: true, neededAbi: ABI, abi: binding.abi(), isa: binding.isa(), isas: binding.isas() }
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    report({ section: 'binding', essential: true, message, action: actionFor(error) })
    return { loads: false, neededAbi: ABI, abi: null, isa: null, isas: [] }
  }
}

function actionFor(error: unknown): string {
  const isSetting = error instanceof AdasumError && error.code === 'ERR_ENVIRONMENT'
  if (isSetting) return 'unset ADASUM_ISA, or set it to an instruction set that this processor has'
  return 'install the package again on this machine (npm install adasum); in a checkout: npm run setup'
}
