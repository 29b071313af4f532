/** Names that do not resolve yet: those of containers, say, that start together with their name server's entries. */
import { AdasumError } from '../errors.ts'
import { isUnresolved } from '../transport/names.ts'
import { pause } from '../wire/authenticated.ts'

const FIRST_RETRY_MS = 50
const LONGEST_RETRY_MS = 1000

/**
 * Tries something again and again as long as it fails because a name does not resolve.
 *
 * @param unresolved - told of each such failure
 * @throws what `attempt` throws for another reason; signal.reason
 */
export async function whenResolved<T>(
  attempt: () => Promise<T>,
  signal: AbortSignal,
  unresolved: (error: unknown) => void,
): Promise<T> {
  for (let retry = 0; ; retry++) {
    try {
      return await attempt()
    } catch (error) {
      if (!isUnresolved(error instanceof AdasumError ? error.cause : error)) throw error
      unresolved(error)
      await pause(Math.min(FIRST_RETRY_MS * 1.5 ** retry, LONGEST_RETRY_MS), signal)
    }
  }
}
