/**
 * The stores that this process hosts. Communicators that meet at the same address share one, and it closes with the last
 * of them.
 */
import { AdasumError, systemCode } from '../errors.ts'
import { formatAddress } from '../transport/address.ts'
import type { Transport } from '../transport/transport.ts'
import type { StoreAddress } from './environment.ts'
import { hostStore, type Store } from './store.ts'

interface Entry {
  readonly size: number
  readonly secret: string
  readonly store: Promise<Store>
  users: number
}

const hosted: WeakMap<Transport, Map<string, Entry>> = new WeakMap()

export interface HeldStore {
  readonly host: string
  readonly port: number
  /** Closes the store if nobody else in this process uses it. */
  release(): Promise<void>
}

/**
 * Hosts the store at the first of its ports that is free, or shares the one that this process hosts there already.
 *
 * @throws AdasumError ERR_STORE if no port can be had, or if the process hosts a different store there; ERR_AUTH
 */
export async function acquireStore(
  transport: Transport,
  address: StoreAddress,
  options: { size: number; secret: string; jobId: Uint8Array },
): Promise<HeldStore> {
  const stores = hosted.get(transport) ?? new Map<string, Entry>()
  hosted.set(transport, stores)
  const key = `${address.host} ${address.ports.join(' ')}`
  const entry = stores.get(key) ?? { ...options, store: hostAtFirstFree(transport, address, options), users: 0 }
  if (entry.size !== options.size || entry.secret !== options.secret) {
    const message = `this process hosts a store at ${describe(address)} for ${entry.size} ranks with ${entry.secret === options.secret ? 'the same' : 'another'} secret, but now ${options.size} ranks are asked for: use another port`
    throw new AdasumError('ERR_STORE', message)
  }
  stores.set(key, entry)
  entry.users++
  const leave = () => {
    entry.users--
    const last = entry.users === 0 && stores.get(key) === entry
    if (last) stores.delete(key)
    return last
  }
  let store: Store
  try {
    store = await entry.store
  } catch (error) {
    leave()
    throw error
  }
  let released: Promise<void> | undefined
  const release = () => (released ??= leave() ? store.close() : Promise.resolve())
  return { host: store.host, port: store.port, release }
}

async function hostAtFirstFree(
  transport: Transport,
  { host, ports }: StoreAddress,
  options: { size: number; secret: string; jobId: Uint8Array },
): Promise<Store> {
  let last: unknown
  for (const port of ports) {
    try {
      return await hostStore({ ...options, transport, host, port })
    } catch (error) {
      last = error
      if (!(error instanceof AdasumError) || systemCode(error.cause) !== 'EADDRINUSE') throw error
    }
  }
  throw last
}

function describe({ host, ports }: StoreAddress): string {
  return ports.map((port) => formatAddress(host, port)).join(', ')
}
