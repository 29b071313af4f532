/** After how long without a sign of life a rank counts as lost. */
import { AdasumError, inspect } from '../errors.ts'
import { LONGEST_TIMEOUT_MS } from '../tensor/check.ts'
import { DEFAULT_FAILURE_TIMEOUT_MS, LEAST_FAILURE_TIMEOUT_MS } from '../timing/failure-limits.ts'

/**
 * The time in milliseconds: from the option, else from ADASUM_FAILURE_TIMEOUT_MS, else the default.
 *
 * @throws AdasumError ERR_ARGUMENT, ERR_ENVIRONMENT
 */
export function resolveFailureTimeout(option: unknown, variable: string | undefined): number {
  if (option !== undefined) {
    if (isFailureTimeout(option)) return option
    throw new AdasumError('ERR_ARGUMENT', refusal('option "failureTimeoutMs"', option))
  }
  if (variable === undefined) return DEFAULT_FAILURE_TIMEOUT_MS
  const value = /^\d{1,10}$/.test(variable) ? Number(variable) : variable
  if (isFailureTimeout(value)) return value
  throw new AdasumError('ERR_ENVIRONMENT', refusal('ADASUM_FAILURE_TIMEOUT_MS', value))
}

export function isFailureTimeout(value: unknown): value is number {
  return typeof value === 'number' && value >= LEAST_FAILURE_TIMEOUT_MS && value <= LONGEST_TIMEOUT_MS
}

function refusal(origin: string, value: unknown): string {
  return `${origin} must be from ${LEAST_FAILURE_TIMEOUT_MS} to ${LONGEST_TIMEOUT_MS} milliseconds, but it is ${inspect(value)}`
}
