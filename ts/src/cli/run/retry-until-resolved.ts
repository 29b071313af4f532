/** While a name does not resolve, the launcher tries again for as long as the ranks themselves would. */
import { systemCause } from '../../errors.ts'
import { DEFAULT_CONNECT_TIMEOUT_MS } from '../../rendezvous/environment.ts'
import { Notices } from '../../rendezvous/notices.ts'
import { retryWhileUnresolved } from '../../rendezvous/unresolved.ts'
import { Limit } from '../../timing/limit.ts'
import { systemReason } from '../../transport/names.ts'

/** @throws what `attempt` throws; where that is a name that does not resolve, only after a minute of attempts */
export async function retryUntilResolved<T>(host: string, attempt: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const limit = new Limit(DEFAULT_CONNECT_TIMEOUT_MS)
  let last: unknown
  const notices = new Notices(DEFAULT_CONNECT_TIMEOUT_MS, (_, leftMs) => {
    const left = `${Math.round(leftMs / 1000)} s left`
    process.stderr.write(`adasum run: ${host} does not resolve yet (${systemReason(systemCause(last))}), ${left}\n`)
  })
  try {
    return await retryWhileUnresolved(
      () => attempt(limit.signal),
      limit.signal,
      (error) => (last = error),
    )
  } catch (error) {
    throw limit.signal.aborted && last !== undefined ? last : error
  } finally {
    notices.stop()
    limit.release()
  }
}
