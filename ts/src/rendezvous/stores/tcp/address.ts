/** The address of a store that ranks dial. */
import { AdasumError, type ErrorCode, inspect } from '../../../errors.ts'
import { formatAddress, nearHost, parseAddress } from '../../../transport/address.ts'

export interface StoreAddress {
  readonly host: string
  /** The ports the store may have: more than one only where a launcher leaves no port of ours. */
  readonly ports: readonly number[]
}

/**
 * @param origin - of the text, for messages
 * @throws AdasumError `code` for anything but an address with a port
 */
export function parseStoreAddress(text: string, origin: string, code: ErrorCode): StoreAddress {
  const address = typeof text === 'string' ? parseAddress(text) : undefined
  if (address !== undefined && address.port > 0) return { host: address.host, ports: [address.port] }
  throw new AdasumError(
    code,
    `${origin} must be host:port or [ipv6]:port with a port from 1 to 65535, but it is "${inspect(text)}"`,
  )
}

/** For messages. */
export function formatStoreAddress({ host, ports }: StoreAddress): string {
  return ports.map((port) => formatAddress(host, port)).join(', ')
}

/**
 * The host at which rank 0 dials its own store, if the store's address is another machine's that forwards to this one.
 * That address may not work from this machine, so rank 0 dials the store directly; but only if it has an own address to
 * announce. Otherwise it finds its address out by dialling the store's, like all other ranks.
 */
export function dialledHost(storeHost: string, listen: string, ownHost: string | undefined): string {
  return ownHost === undefined ? storeHost : nearHost(listen)
}
