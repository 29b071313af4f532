/**
 * Waits for names that do not resolve yet: those of containers, say, whose name server entries appear while they start.
 */
import { AdasumError } from '../errors.ts'
import { isUnresolved } from '../transport/names.ts'
import { pause } from '../wire/authenticated.ts'

const FIRST_RETRY_MS = 50
const LONGEST_RETRY_MS = 1000

/**
 * Repeats an attempt as long as it fails because a name does not resolve.
 *
 * @param onUnresolved - called with each such error
 * @throws any other error of `attempt`; signal.reason
 */
export async function retryWhileUnresolved<T>(
  attempt: () => Promise<T>,
  signal: AbortSignal,
  onUnresolved: (error: unknown) => void,
): Promise<T> {
  for (let retry = 0; ; retry++) {
    try {
      return await attempt()
    } catch (error) {
      if (!isUnresolved(error instanceof AdasumError ? error.cause : error)) throw error
      onUnresolved(error)
      await pause(Math.min(FIRST_RETRY_MS * 1.5 ** retry, LONGEST_RETRY_MS), signal)
    }
  }
}
