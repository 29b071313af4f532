/** One connection between two heartbeats, after its handshake: messages of a fixed size, both ways. */
import type { Pipe, Sink } from '../transport/transport.ts'
import { MESSAGE_BYTE_LENGTH, type Loss, decodeMessage } from './messages.ts'

export interface LineOwner {
  /** The size of the world. */
  readonly size: number
  onMessage(line: Line, message: 'beat' | Loss): void
  onEnd(line: Line): void
}

export class Line implements Sink {
  readonly peer: number
  readonly #pipe: Pipe
  readonly #owner: LineOwner
  readonly #message = new Uint8Array(MESSAGE_BYTE_LENGTH)
  #filled = 0

  /** @param peer - the rank at the other end */
  constructor(peer: number, pipe: Pipe, owner: LineOwner) {
    this.peer = peer
    this.#pipe = pipe
    this.#owner = owner
    pipe.unref()
    pipe.setSink(this)
  }

  get closed(): Promise<void> {
    return this.#pipe.closed
  }

  send(message: Uint8Array): void {
    this.#pipe.write(message)
  }

  /** Ends it. What was sent arrives, unless the other end has sent what was not read. */
  end(): void {
    this.#pipe.end()
    this.#pipe.destroy()
  }

  target(): Uint8Array {
    return this.#message.subarray(this.#filled)
  }

  onFilled(byteLength: number): void {
    this.#filled += byteLength
    if (this.#filled < MESSAGE_BYTE_LENGTH) return
    this.#filled = 0
    const message = decodeMessage(this.#message, this.#owner.size)
    if (message === undefined) this.#pipe.destroy()
    else this.#owner.onMessage(this, message)
  }

  onEnd(): void {
    this.#pipe.destroy()
    this.#owner.onEnd(this)
  }
}
