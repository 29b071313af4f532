/** Loads the package adasum-gpu when a device is first asked for. */
import { AdasumError, systemCode, reasonOf } from '../errors.ts'
import { GPU_ABI, type GpuBinding } from './gpu-binding.ts'

// No literal in the import: compilers would look for the package, which need not be there.
const PACKAGE = 'adasum-gpu'

export const INSTALL_COMMAND: string = `npm install ${PACKAGE}`

let loaded: Promise<GpuBinding> | undefined

/**
 * The binding of the package adasum-gpu; the same object on every call.
 *
 * @throws AdasumError ERR_UNSUPPORTED if it is not installed, ERR_BINDING if it is of another version or cannot be
 *   loaded
 */
export function loadGpuBinding(): Promise<GpuBinding> {
  // After a failure the next call tries again: the package may have been installed meanwhile.
  loaded ??= wrapGpuAddon(() => import(PACKAGE)).catch((error: unknown) => {
    loaded = undefined
    throw error
  })
  return loaded
}

/** The binding that `load` returns. Checks that its version is the one this package needs. */
export async function wrapGpuAddon(load: () => Promise<unknown>): Promise<GpuBinding> {
  const addon = await loadAddon(load)
  const found = typeof addon.abi === 'function' ? addon.abi() : 'none'
  if (found === GPU_ABI) return addon
  throw new AdasumError(
    'ERR_BINDING',
    `${PACKAGE} has contract version ${found}, this package needs ${GPU_ABI}. Install the version of adasum: ${INSTALL_COMMAND}`,
  )
}

async function loadAddon(load: () => Promise<unknown>): Promise<GpuBinding> {
  try {
    const module = (await load()) as Partial<GpuBinding> & { default?: GpuBinding }
    // Node.js may not find the names that a CommonJS module exports; the default export is always there.
    return (module.default ?? module) as GpuBinding
  } catch (cause) {
    const isAbsent = systemCode(cause) === 'ERR_MODULE_NOT_FOUND' && String(cause).includes(`'${PACKAGE}'`)
    if (isAbsent)
      throw new AdasumError(
        'ERR_UNSUPPORTED',
        `a GPU needs the package ${PACKAGE}, which is not installed. Run: ${INSTALL_COMMAND}`,
        { cause },
      )
    const words = reasonOf(cause).split('\n', 1)[0]
    throw new AdasumError(
      'ERR_BINDING',
      `${PACKAGE} cannot be loaded (${words}). Install it again: ${INSTALL_COMMAND}`,
      {
        cause,
      },
    )
  }
}
