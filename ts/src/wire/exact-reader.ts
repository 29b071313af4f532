/** Reads messages of known size off a pipe, and not one byte more: what follows stays for the pipe's next sink. */
import type { Pipe, Sink } from '../transport/transport.ts'

interface Pending {
  readonly into: Uint8Array
  filled: number
  readonly resolve: (bytes: Uint8Array) => void
  readonly reject: (error: Error) => void
}

/** Why a read failed: the other end ended or broke the pipe. `cause` is the system's error, if there was one. */
export class PipeEnded extends Error {
  constructor(cause: Error | undefined) {
    super(cause?.message ?? 'the other end closed the connection', { cause })
  }
}

export class ExactReader implements Sink {
  readonly #pipe: Pipe
  #pending: Pending | null = null
  #ended: PipeEnded | null = null

  constructor(pipe: Pipe) {
    this.#pipe = pipe
  }

  /** Rejects with PipeEnded if the pipe ends before all bytes have come. One read at a time. */
  read(byteLength: number): Promise<Uint8Array> {
    if (this.#ended !== null) return Promise.reject(this.#ended)
    return new Promise((resolve, reject) => {
      this.#pending = { into: new Uint8Array(byteLength), filled: 0, resolve, reject }
      this.#pipe.setSink(this)
    })
  }

  target(): Uint8Array {
    // Never without a pending read: the pipe has this sink only while one is going on.
    return this.#pending!.into.subarray(this.#pending!.filled)
  }

  onFilled(byteLength: number): void {
    const pending = this.#pending!
    pending.filled += byteLength
    if (pending.filled < pending.into.length) return
    this.#pending = null
    this.#pipe.setSink(null)
    pending.resolve(pending.into)
  }

  onEnd(error?: Error): void {
    this.#ended = new PipeEnded(error)
    this.#pending?.reject(this.#ended)
    this.#pending = null
  }
}
