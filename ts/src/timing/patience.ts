import { nextTurn } from '#platform'

/**
 * A timeout that lets the event loop read from the network before it fires.
 *
 * After a long synchronous computation Node runs timers before it reads data that has long arrived. So when the time is
 * up, this waits for two more turns of the event loop, in which the caller may cancel because of what has come.
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
  // A browser's timers are numbers, which have no unref().
  if (!isReferenced && typeof timer !== 'number') timer.unref?.()
  return () => {
    isCancelled = true
    clearTimeout(timer as NodeJS.Timeout)
  }
}

/**
 * Waits for a promise, but for `timeMs` at most. If the event loop was held up, data that has long arrived is read
 * first.
 */
export async function within(timeMs: number, promise: Promise<unknown>): Promise<void> {
  let cancel: () => void = () => undefined
  const late = new Promise<void>((resolve) => (cancel = patientTimeout(resolve, timeMs)))
  await Promise.race([promise, late])
  cancel()
}
