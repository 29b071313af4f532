/** Checks of what every call takes. */
import { AdasumError, inspect, reading } from '../errors.ts'

/** The longest time a timer can hold. */
const LONGEST_MS = 2 ** 31 - 1

/** @throws AdasumError ERR_ARGUMENT */
export function checkTimeout(timeoutMs: number): number {
  if (typeof timeoutMs === 'number' && timeoutMs >= 1 && timeoutMs <= LONGEST_MS) return timeoutMs
  throw new AdasumError('ERR_ARGUMENT', `timeoutMs is ${inspect(timeoutMs)}; it must be from 1 to ${LONGEST_MS}.`)
}

/** @throws AdasumError ERR_ARGUMENT */
export function checkSignal(signal: unknown): void {
  // Not instanceof: signals of other realms and of polyfills serve as well.
  if (signal === undefined || reading('signal', () => isSignal(signal))) return
  throw new AdasumError('ERR_ARGUMENT', 'signal must be an AbortSignal. Pass the `signal` of an AbortController.')
}

function isSignal(signal: unknown): boolean {
  const { aborted, addEventListener, removeEventListener } = (signal ?? {}) as Partial<AbortSignal>
  return (
    typeof aborted === 'boolean' && typeof addEventListener === 'function' && typeof removeEventListener === 'function'
  )
}
