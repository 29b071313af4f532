/**
 * Waits. Rejects with `signal.reason` once that aborts.
 *
 * @param isReferenced - whether it keeps the process alive
 */
export function sleep(timeMs: number, signal?: AbortSignal, isReferenced: boolean = true): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted()
    const abort = (): void => {
      clearTimeout(timer as NodeJS.Timeout)
      reject(signal!.reason as Error)
    }
    const timer: { unref?: () => unknown } | number = setTimeout(() => {
      signal?.removeEventListener('abort', abort)
      resolve()
    }, timeMs)
    // A browser's timers are numbers, which have no unref().
    if (!isReferenced && typeof timer !== 'number') timer.unref?.()
    signal?.addEventListener('abort', abort, { once: true })
  })
}
