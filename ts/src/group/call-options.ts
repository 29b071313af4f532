/** Checks of the options that every call takes. */
import { AdasumError, reading } from '../errors.ts'

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
