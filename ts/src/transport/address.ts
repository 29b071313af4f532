/** Addresses as people write them: `host:port`, with brackets around an IPv6 host. */
import { isIPv6 } from 'node:net'

export interface Address {
  host: string
  port: number
}

/** `127.0.0.1:29500`, `[::1]:29500`. An IPv4 address mapped into IPv6 is written as what it is. */
export function formatAddress(host: string, port: number): string {
  const plain = plainHost(host)
  return isIPv6(plain) ? `[${plain}]:${port}` : `${plain}:${port}`
}

/** The host and port of `host:port` or `[ipv6]:port`, or undefined if the text is neither or the port is not 0 to 65535. */
export function parseAddress(text: string): Address | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+(?:%[\w.-]+)?)\]|([^\s:[\]]+)):(\d{1,5})$/.exec(text)
  if (match === null) return undefined
  const [, bracketed, plain, digits] = match
  const port = Number(digits)
  if (port > 65535 || (bracketed !== undefined && !isIPv6(bracketed))) return undefined
  return { host: bracketed ?? plain ?? '', port }
}

/** The host of `host:port`; a text that is no such address, whole. */
export function hostOf(text: string): string {
  return parseAddress(text)?.host ?? text
}

/** A dual-stack socket shows an IPv4 peer as ::ffff:127.0.0.1; this gives 127.0.0.1. */
export function plainHost(host: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(host)
  return mapped?.[1] ?? host
}

/** Whether only this machine can reach the host. A name other than localhost counts as reachable: it is not resolved. */
export function isLoopback(host: string): boolean {
  const plain = plainHost(host)
  return plain === 'localhost' || plain === '::1' || /^127\.\d+\.\d+\.\d+$/.test(plain)
}

/** Whether the host stands for every interface of this machine. */
export function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || host === '::'
}

/** Where this machine itself reaches what listens at a host: a wildcard is no address to dial. */
export function nearHost(host: string): string {
  if (!isWildcard(host)) return host
  return host === '::' ? '::1' : '127.0.0.1'
}
