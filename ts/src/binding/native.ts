/**
 * The native addon behind the Binding contract.
 *
 * It is loaded when it is first used, so that importing the package never fails, and refused if it is missing or was
 * built from another version of the sources. Errors that leave it are AdasumErrors.
 */
import { AdasumError } from '../errors.ts'
import { ABI, type Binding, kernelForms } from './binding.ts'
import { ADDON, loadFailure, ownRequire } from './installation.ts'
import { typedError } from './typed-error.ts'

let loaded: Binding | undefined

/**
 * The native binding; the same object on every call.
 *
 * @throws AdasumError ERR_BINDING if the addon is missing, stale or cannot be loaded on this machine,
 * ERR_ENVIRONMENT if ADASUM_ISA names an instruction set that this CPU cannot run.
 */
export function loadBinding(): Binding {
  loaded ??= wrapAddon(requireAddon)
  return loaded
}

/** The binding over the addon that `load` returns. Checks that its version and its instruction set can be used. */
export function wrapAddon(load: () => unknown): Binding {
  const addon = loadAddon(load)
  const found = typeof addon.abi === 'function' ? addon.abi() : 'none'
  if (found !== ABI) {
    throw new AdasumError(
      'ERR_BINDING',
      `The native addon has contract version ${found}, this package needs ${ABI}. ${ADDON.remedy(false)}`,
    )
  }
  const binding = withTypedErrors(addon)
  binding.isa()
  return binding
}

function requireAddon(): unknown {
  return ownRequire()('#native')
}

function loadAddon(load: () => unknown): Omit<Binding, 'kind'> {
  try {
    return load() as Omit<Binding, 'kind'>
  } catch (cause) {
    throw loadFailure(ADDON, cause)
  }
}

type AnyCall<R> = (...args: unknown[]) => R

function withTypedErrors(addon: Omit<Binding, 'kind'>): Binding {
  return {
    kind: 'native',
    abi: sync(addon.abi),
    isa: sync(addon.isa),
    isas: sync(addon.isas),
    hasNonFinite: sync(addon.hasNonFinite),
    nodeCount: sync(addon.nodeCount),
    gramFinish: sync(addon.gramFinish),
    coefficients: sync(addon.coefficients),
    crc32: sync(addon.crc32!),
    copy: sync(addon.copy!),
    ...kernelForms(
      (name) => sync(addon[name] as AnyCall<void>),
      (name) => async(addon[`${name}Async`] as AnyCall<Promise<void>>),
    ),
  }
}

function sync<A extends unknown[], R>(call: (...args: A) => R): (...args: A) => R {
  return (...args) => {
    try {
      return call(...args)
    } catch (error) {
      throw typedError(error)
    }
  }
}

// The addon throws, and makes no promise, if it refuses an argument: here that becomes a rejection.
function async<A extends unknown[]>(call: (...args: A) => Promise<void>): (...args: A) => Promise<void> {
  return async (...args) => {
    try {
      await call(...args)
    } catch (error) {
      throw typedError(error)
    }
  }
}
