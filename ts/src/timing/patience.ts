import { nextTurn } from '#platform'

/**
 * A time limit that looks at the network before it fires.
 *
 * After a long synchronous computation Node runs timers before it reads data that has long been there. So when the time
 * is up, the event loop polls twice more, and whoever hears good news meanwhile cancels.
 *
 * @param isReferenced - whether it keeps the process alive
 * @returns cancels it
 */
export function patientTimeout(action: () => void, timeoutMs: number, isReferenced: boolean = true): () => void {
  let isCancelled = false
  const poll = async (): Promise<void> => {
    await nextTurn()
    await nextTurn()
    if (!isCancelled) action()
  }
  const timer: { unref?: () => unknown } | number = setTimeout(() => void poll(), timeoutMs)
  // Of a page nothing keeps the process alive.
  if (!isReferenced && typeof timer !== 'number') timer.unref?.()
  return () => {
    isCancelled = true
    clearTimeout(timer as NodeJS.Timeout)
  }
}

/** Waits for a promise, but not longer; if the event loop was held up, what has long been there comes first. */
export async function within(timeMs: number, promise: Promise<unknown>): Promise<void> {
  let cancel: () => void = () => undefined
  const late = new Promise<void>((resolve) => (cancel = patientTimeout(resolve, timeMs)))
  await Promise.race([promise, late])
  cancel()
}
