/** Whether this rank shares memory with others of its machine, and how much of it. */
import { AdasumError, inspect } from '../errors.ts'
import { LEAST_SEGMENT_BYTE_LENGTH } from '../shared-memory/offer.ts'

/**
 * How many bytes this rank may reserve: from the option, else from ADASUM_SHARED_MEMORY; 0 if it is off, infinity by
 * default.
 *
 * @throws AdasumError ERR_ARGUMENT, ERR_ENVIRONMENT
 */
export function resolveSharedMemory(option: unknown, variable: string | undefined): number {
  if (option !== undefined) return limitOf(option, 'option "sharedMemory"', 'ERR_ARGUMENT')
  if (variable === undefined) return Infinity
  const known: Record<string, unknown> = { '0': false, '1': true }
  const value = known[variable] ?? (/^\d{1,15}$/.test(variable) ? Number(variable) : variable)
  return limitOf(value, 'ADASUM_SHARED_MEMORY', 'ERR_ENVIRONMENT')
}

function limitOf(value: unknown, origin: string, code: 'ERR_ARGUMENT' | 'ERR_ENVIRONMENT'): number {
  if (typeof value === 'boolean') return value ? Infinity : 0
  if (Number.isSafeInteger(value) && (value as number) >= LEAST_SEGMENT_BYTE_LENGTH) return value as number
  const [off, on] = code === 'ERR_ARGUMENT' ? ['false', 'true'] : ['0', '1']
  const what = `${off} (none), ${on} (as much as is needed), or the most bytes to reserve, from ${LEAST_SEGMENT_BYTE_LENGTH} up`
  throw new AdasumError(code, `${origin} must be ${what}, but it is ${inspect(value)}`)
}
