/**
 * The abort signals of callers. Many calls may have the same signal, so each signal gets one listener for all of them:
 * with one for each call, adding a listener would get slower and slower, and Node.js reports more than ten as a leak.
 */

type Listen = Pick<AbortSignal, 'addEventListener' | 'removeEventListener'>

interface Listener {
  readonly aborts: Set<() => void>
  readonly listener: () => void
}

export class Signals {
  readonly #listeners = new Map<Listen, Listener>()

  /**
   * Calls `abort` once the signal fires.
   *
   * @returns stops watching
   * @throws what the signal's own code throws
   */
  watch(signal: Listen | undefined, abort: () => void): () => void {
    if (signal === undefined) return () => undefined
    const { aborts } = this.#listeners.get(signal) ?? this.#listen(signal)
    aborts.add(abort)
    return () => {
      aborts.delete(abort)
      if (aborts.size === 0) this.#unlisten(signal)
    }
  }

  #listen(signal: Listen): Listener {
    const aborts = new Set<() => void>()
    const listener = (): void => [...aborts].forEach((abort) => abort())
    signal.addEventListener('abort', listener, { once: true })
    const listening = { aborts, listener }
    this.#listeners.set(signal, listening)
    return listening
  }

  #unlisten(signal: Listen): void {
    const listening = this.#listeners.get(signal)
    if (!listening) return
    this.#listeners.delete(signal)
    try {
      signal.removeEventListener('abort', listening.listener)
    } catch {
      // A polyfill may throw. It does not matter: the listener has nobody left to tell.
    }
  }
}
