/**
 * The callers' abort signals. Many calls may have the same one: each signal gets one listener, since every further one
 * makes adding the next slower, and more than ten are reported as a leak.
 */

type Listen = Pick<AbortSignal, 'addEventListener' | 'removeEventListener'>

interface Listener {
  readonly aborts: Set<() => void>
  readonly listener: () => void
}

export class Signals {
  readonly #listeners = new Map<Listen, Listener>()

  /** Calls `abort` once the signal fires, until what is returned is called. Throws what the signal throws. */
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
      // A polyfill's own affair: the listener has nobody left to tell.
    }
  }
}
