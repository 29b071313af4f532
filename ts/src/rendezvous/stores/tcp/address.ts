/** Where a store is that ranks dial. */
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
 * Where a process reaches the store that its own machine hosts behind another machine's address. From inside that may lead
 * nowhere; but unless the ranks here know an address of their own, dialling it is how they find out which one they have.
 */
export function dialledHost(storeHost: string, listen: string, ownHost: string | undefined): string {
  return ownHost === undefined ? storeHost : nearHost(listen)
}
