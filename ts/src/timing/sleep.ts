/** Waits. Rejects with `signal.reason` once that aborts. */
export function sleep(timeMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted()
    const abort = (): void => {
      clearTimeout(timer)
      reject(signal!.reason as Error)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', abort)
      resolve()
    }, timeMs)
    signal?.addEventListener('abort', abort, { once: true })
  })
}
