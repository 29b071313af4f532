/** How options and variables become values, and what is said of those that cannot. */
import { AdasumError, type ErrorCode, inspect } from '../errors.ts'
import { parseAddress } from '../transport/address.ts'

export type Environment = Record<string, string | undefined>

/** A variable, and what it holds: undefined if it is not set. */
export interface Variable {
  readonly name: string
  readonly text: string | undefined
}

/** A value and where it came from: the variable's name, or `option "rank"`. */
export interface Setting<V> {
  readonly value: V
  readonly origin: string
  readonly code: ErrorCode
}

export interface StoreAddress {
  readonly host: string
  /** The ports the store may have: more than one only where a launcher leaves no port of ours. */
  readonly ports: readonly number[]
}

export function variable(env: Readonly<Environment>, name: string): Variable {
  return { name, text: env[name] }
}

/** @throws AdasumError ERR_ENVIRONMENT if the variable is set to nothing */
export function nonEmpty(env: Readonly<Environment>, name: string): string | undefined {
  if (env[name] === '') throw new AdasumError('ERR_ENVIRONMENT', `${name} is empty: set it or unset it`)
  return env[name]
}

/** @throws AdasumError ERR_ENVIRONMENT for anything but a whole number from 0 up */
export function wholeNumber({ name, text }: Variable): Setting<number> | undefined {
  if (text === undefined) return undefined
  if (/^\d{1,9}$/.test(text)) return { value: Number(text), origin: name, code: 'ERR_ENVIRONMENT' }
  throw new AdasumError('ERR_ENVIRONMENT', `${name} must be a whole number from 0 up, but it is "${text}"`)
}

/** @throws AdasumError ERR_ENVIRONMENT for anything but a number from 1 to 65535 */
export function portNumber(port: Variable): number | undefined {
  const value = wholeNumber(port)?.value
  if (value === undefined || (value > 0 && value <= 65535)) return value
  throw new AdasumError('ERR_ENVIRONMENT', `${port.name} must be a port from 1 to 65535, but it is ${value}`)
}

/** @throws AdasumError `code` for anything but an address with a port */
export function parseStore(text: string, origin: string, code: ErrorCode): Setting<StoreAddress> {
  const address = typeof text === 'string' ? parseAddress(text) : undefined
  if (address !== undefined && address.port > 0)
    return { value: { host: address.host, ports: [address.port] }, origin, code }
  throw new AdasumError(
    code,
    `${origin} must be host:port or [ipv6]:port with a port from 1 to 65535, but it is "${inspect(text)}"`,
  )
}
