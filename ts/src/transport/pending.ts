/**
 * A pipe whose connection may come later. Until then writes wait, so its user need not know when the connection comes.
 */
import type { Pipe, Sink } from './transport.ts'

interface Write {
  readonly bytes: Uint8Array
  readonly done: ((error?: Error) => void) | undefined
}

export class PendingPipe implements Pipe {
  readonly closed: Promise<void>
  readonly #announcedAddress: string
  #pipe: Pipe | undefined
  #isClosed = false
  #sink: Sink | null = null
  #writes: Write[] = []
  #isReferenced = true
  #isEnding = false
  #error: Error | undefined
  #settleClosed: () => void = () => undefined

  /** @param announcedAddress - where the other end is expected, `host:port` */
  constructor(announcedAddress: string) {
    this.#announcedAddress = announcedAddress
    this.closed = new Promise((resolve) => (this.#settleClosed = resolve))
  }

  get isOpen(): boolean {
    return this.#pipe !== undefined && !this.#isClosed
  }

  get remoteAddress(): string {
    return this.#pipe?.remoteAddress ?? this.#announcedAddress
  }

  get localAddress(): string {
    return this.#pipe?.localAddress ?? 'not connected'
  }

  /** Opens it. Returns false, and leaves the connection alone, if it is open already or was given up. */
  attach(pipe: Pipe): boolean {
    if (this.#pipe || this.#error) return false
    this.#pipe = pipe
    void pipe.closed.then(() => {
      this.#isClosed = true
      this.#settleClosed()
    })
    if (!this.#isReferenced) pipe.unref()
    for (const { bytes, done } of this.#writes.splice(0)) pipe.write(bytes, done)
    if (this.#isEnding) pipe.end()
    pipe.setSink(this.#sink)
    return true
  }

  /** Gives the pipe up if it is not open; it then behaves like a connection that has broken. */
  fail(error: Error): void {
    if (this.#pipe || this.#error) return
    this.#error = error
    const sink = this.#sink
    queueMicrotask(() => {
      for (const { done } of this.#writes.splice(0)) done?.(error)
      sink?.onEnd(error)
      this.#settleClosed()
    })
  }

  setSink(sink: Sink | null): void {
    this.#sink = sink
    this.#pipe?.setSink(sink)
  }

  write(bytes: Uint8Array, done?: (error?: Error) => void): void {
    if (this.#pipe) return this.#pipe.write(bytes, done)
    const error =
      this.#error ?? (this.#isEnding ? new Error(`write after the pipe to ${this.remoteAddress} was ended`) : undefined)
    if (error) queueMicrotask(() => done?.(error))
    else this.#writes.push({ bytes, done })
  }

  /** If the pipe is not open yet, earlier writes still wait for the connection, or until the pipe is given up. */
  end(): void {
    this.#isEnding = true
    this.#pipe?.end()
  }

  destroy(): void {
    if (this.#pipe) this.#pipe.destroy()
    else this.fail(new Error(`the connection to ${this.#announcedAddress} was given up before it was open`))
  }

  ref(): void {
    this.#isReferenced = true
    this.#pipe?.ref()
  }

  unref(): void {
    this.#isReferenced = false
    this.#pipe?.unref()
  }
}
