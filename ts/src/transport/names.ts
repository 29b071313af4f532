/**
 * Names of machines, and the several addresses that one may have: `localhost` is ::1 on one machine and 127.0.0.1 on
 * the next, or both. Whoever listens on a name listens on all that are this machine's, and whoever dials it tries all.
 */
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { reasonOf, systemCode } from '../errors.ts'
import { Limit } from '../timing/limit.ts'

/** All addresses of a name, the best first. Rejects with the system's error. */
export type Lookup = (name: string) => Promise<readonly string[]>

/** Resolves names as the system's own programs do, /etc/hosts included. */
export const systemLookup: Lookup = async (name) => {
  const found = await lookup(name, { all: true, verbatim: true })
  return [...new Set(found.map(({ address }) => address))]
}

/** Error codes for a name that may resolve a moment later: that of a container, say, which has just started. */
const UNRESOLVED = new Set(['ENOTFOUND', 'EAI_AGAIN'])

export function isUnresolved(error: unknown): boolean {
  return UNRESOLVED.has(systemCode(error) ?? '')
}

/** All addresses of a host: those of a name, or the host itself if it is an address. */
export async function addressesOf(host: string, find: Lookup, signal?: AbortSignal): Promise<readonly string[]> {
  if (isIP(host) !== 0) return [host]
  signal?.throwIfAborted()
  let abort: () => void = () => undefined
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal?.reason)
    signal?.addEventListener('abort', abort, { once: true })
  })
  try {
    const addresses = await Promise.race([find(host), aborted])
    if (addresses.length > 0) return addresses
    throw Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), { code: 'ENOTFOUND' })
  } finally {
    signal?.removeEventListener('abort', abort)
  }
}

/** The errors of all addresses of a name. `code` is that of the first; systemReason gives all of them. */
export class AddressesError extends AggregateError {
  readonly code: string | undefined
  readonly #reason: string

  constructor(failures: ReadonlyMap<string, unknown>) {
    const reasons = [...failures].map(([address, error]) => `${systemReason(error)} at ${address}`).join(', ')
    super([...failures.values()], reasons)
    this.#reason = reasons
    this.code = systemCode([...failures.values()][0])
  }

  /** The reasons of all addresses; undefined for any other error. */
  static reasonIn(error: unknown): string | undefined {
    return typeof error === 'object' && error !== null && #reason in error ? error.#reason : undefined
  }
}

/** The system's code of an error, for a message in brackets; for an AddressesError the codes of all addresses. */
export function systemReason(error: unknown): string {
  return AddressesError.reasonIn(error) ?? systemCode(error) ?? reasonOf(error)
}

/** How long an address may be silent before the next one is tried beside it. */
const STAGGER_MS = 1000

/**
 * Tries one address after the other until an attempt succeeds. If an address is silent, the next one is tried beside
 * it.
 *
 * @param drop - takes the result of an attempt that succeeds after another one has
 * @throws AddressesError if none succeeds; signal.reason
 */
export async function firstOf<T>(
  addresses: readonly string[],
  attempt: (address: string, signal: AbortSignal) => Promise<T>,
  drop: (late: T) => void,
  signal?: AbortSignal,
): Promise<T> {
  const limit = new Limit(undefined, signal)
  const failures = new Map<string, unknown>()
  const rest = [...addresses]
  let isOver = false
  try {
    return await new Promise<T>((resolve, reject) => {
      const begin = (): void => {
        const address = isOver ? undefined : rest.shift()
        if (address === undefined) return
        const next = setTimeout(begin, STAGGER_MS)
        const onSuccess = (result: T): void => {
          if (isOver) return drop(result)
          isOver = true
          resolve(result)
        }
        const onFailure = (error: unknown): void => {
          failures.set(address, error)
          if (failures.size === addresses.length) reject(new AddressesError(failures))
          else begin()
        }
        attempt(address, limit.signal)
          .finally(() => clearTimeout(next))
          .then(onSuccess, onFailure)
      }
      begin()
    })
  } catch (error) {
    signal?.throwIfAborted()
    throw error
  } finally {
    isOver = true
    limit.abort()
    limit.release()
  }
}
