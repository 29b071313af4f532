/**
 * A signal that aborts when its time is up or when its parent does, and leaves nothing behind once released.
 *
 * AbortSignal.any over AbortSignal.timeout would be shorter, but in Node 20 nothing holds the timeout there: if memory
 * is collected meanwhile, the time never comes (nodejs/node#57736).
 */
import { allowManyListeners } from '#platform'
import { patientTimeout } from './patience.ts'

export class Limit {
  readonly #controller: AbortController = new AbortController()
  readonly #parent: AbortSignal | undefined
  readonly #follow: () => void = () => this.#controller.abort(this.#parent?.reason)
  readonly #cancelTimeout: () => void

  /** @param timeoutMs - without it, only the parent and `abort` count */
  constructor(timeoutMs: number | undefined, parent?: AbortSignal) {
    this.#parent = parent
    // Each peer may add a listener, and Node.js warns of a leak from 11 on.
    allowManyListeners(this.signal)
    if (parent?.aborted === true) this.#follow()
    parent?.addEventListener('abort', this.#follow, { once: true })
    this.#cancelTimeout = timeoutMs === undefined ? () => undefined : patientTimeout(() => this.abort(), timeoutMs)
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  abort(): void {
    this.#controller.abort()
  }

  release(): void {
    this.#cancelTimeout()
    this.#parent?.removeEventListener('abort', this.#follow)
  }
}
