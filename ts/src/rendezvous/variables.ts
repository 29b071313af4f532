/** Reads environment variables as values, with errors that name the variable. */
import { AdasumError, type ErrorCode } from '../errors.ts'

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

export function variable(env: Readonly<Environment>, name: string): Variable {
  return { name, text: env[name] }
}

/** @throws AdasumError ERR_ENVIRONMENT if the variable is set to the empty string */
export function nonEmpty(env: Readonly<Environment>, name: string): string | undefined {
  if (env[name] === '') throw new AdasumError('ERR_ENVIRONMENT', `${name} is empty: set it or unset it`)
  return env[name]
}

/** Whether a text is a whole number from 0 up, of nine digits at most. */
export function isNumber(text: string): boolean {
  return /^\d{1,9}$/.test(text)
}

/** @throws AdasumError ERR_ENVIRONMENT for anything but a whole number from 0 up */
export function numberOf({ name, text }: Variable): Setting<number> | undefined {
  if (text === undefined) return undefined
  if (isNumber(text)) return { value: Number(text), origin: name, code: 'ERR_ENVIRONMENT' }
  throw new AdasumError('ERR_ENVIRONMENT', `${name} must be a whole number from 0 up, but it is "${text}"`)
}

/** @throws AdasumError ERR_ENVIRONMENT for anything but a number from 1 to 65535 */
export function portNumber(port: Variable): number | undefined {
  const value = numberOf(port)?.value
  if (value === undefined || (value > 0 && value <= 65535)) return value
  throw new AdasumError('ERR_ENVIRONMENT', `${port.name} must be a port from 1 to 65535, but it is ${value}`)
}
