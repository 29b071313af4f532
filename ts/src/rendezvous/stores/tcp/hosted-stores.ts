/**
 * The stores that this process hosts. Communicators that meet at the same address share one, and it closes with the
 * last of them.
 */
import { AdasumError, systemCode } from '../../../errors.ts'
import { nearHost } from '../../../transport/address.ts'
import { Limit } from '../../../timing/limit.ts'
import type { Transport } from '../../../transport/transport.ts'
import { dialAuthenticated } from '../../../wire/authenticated.ts'
import { STORE_RANK } from '../../../wire/handshake-format.ts'
import { formatStoreAddress, type StoreAddress } from './address.ts'
import { type HostedStore, hostStore } from './host-store.ts'

// How long the program that has our port may take to prove that it is a store of this job.
const PROBE_MS = 2000

interface HostedOptions {
  size: number
  secret: string
  jobId: Uint8Array
  /** Where to listen, if the store's address is not this machine's own. */
  listen?: string | undefined
}

interface Entry {
  readonly size: number
  readonly secret: string
  readonly store: Promise<HostedStore>
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
 * @throws AdasumError ERR_STORE if no port can be had, or if the process hosts a different store there; ERR_RANK_TAKEN
 *   if another process hosts the same one; ERR_AUTH
 */
export async function acquireStore(
  transport: Transport,
  address: StoreAddress,
  options: HostedOptions,
  signal: AbortSignal,
): Promise<HeldStore> {
  const stores = hosted.get(transport) ?? new Map<string, Entry>()
  hosted.set(transport, stores)
  const key = `${options.listen ?? address.host} ${address.ports.join(' ')}`
  const entry = stores.get(key) ?? { ...options, store: hostAtFirstFree(transport, address, options), users: 0 }
  if (entry.size !== options.size || entry.secret !== options.secret) {
    const message = `this process hosts a store at ${formatStoreAddress(address)} for ${entry.size} ranks with ${entry.secret === options.secret ? 'the same' : 'another'} secret, but now ${options.size} ranks are asked for: use another port`
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
  let store: HostedStore
  try {
    store = await entry.store
  } catch (error) {
    leave()
    if (isInUse(error) && (await isHostedElsewhere(transport, address, options, signal))) throw takenError(address)
    throw error
  }
  let released: Promise<void> | undefined
  const release = () => (released ??= leave() ? store.close() : Promise.resolve())
  return { host: store.host, port: store.port, release }
}

async function hostAtFirstFree(
  transport: Transport,
  { host, ports }: StoreAddress,
  options: HostedOptions,
): Promise<HostedStore> {
  let last: unknown
  for (const port of ports) {
    try {
      return await hostStore({ ...options, transport, host: options.listen ?? host, port })
    } catch (error) {
      last = error
      if (!isInUse(error)) throw error
    }
  }
  throw last
}

function isInUse(error: unknown): boolean {
  return error instanceof AdasumError && systemCode(error.cause) === 'EADDRINUSE'
}

/** Whether a store of the same secret, size and job listens there. */
async function isHostedElsewhere(
  transport: Transport,
  { host, ports }: StoreAddress,
  { size, secret, jobId, listen }: HostedOptions,
  signal: AbortSignal,
): Promise<boolean> {
  // This end dials as a store. Once both ends have proved themselves, a store refuses another store with the status
  // `taken`.
  const identity = { runId: jobId, rank: STORE_RANK, size, peerRank: STORE_RANK, purpose: 'store', secret } as const
  const limit = new Limit(PROBE_MS, signal)
  const probe = async (port: number): Promise<boolean> => {
    try {
      ;(await dialAuthenticated(transport, nearHost(listen ?? host), port, identity, limit.signal)).destroy()
      return false
    } catch (error) {
      return error instanceof AdasumError && error.code === 'ERR_RANK_TAKEN'
    }
  }
  try {
    return (await Promise.all(ports.map(probe))).includes(true)
  } finally {
    limit.release()
  }
}

function takenError(address: StoreAddress): AdasumError {
  const message = `the store at ${formatStoreAddress(address)} is hosted already, by another rank 0 or by a launcher: give each process its own rank, and each run its own store address`
  return new AdasumError('ERR_RANK_TAKEN', message, { rank: 0, peerAddress: formatStoreAddress(address) })
}
