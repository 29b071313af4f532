import type { BorrowedMessage } from '../group/call.ts'
import type { MessageWatcher } from '../group/slot.ts'
import type { Arrival } from '../kernels/run.ts'
import type { Span } from '../observe/observer.ts'
import type { Peers } from './peers.ts'

interface Waiting {
  readonly elementCount: number
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

export interface BorrowRequest {
  readonly from: number
  readonly step: number
  readonly byteLength: number
  /** Gives memory for the message if it comes through the connection. */
  readonly memory: () => readonly Uint8Array[]
  readonly onWeight: MessageWatcher['onWeight']
}

/**
 * How many elements of each of a call's incoming messages are here. The messages are the call's exchange; one waits at
 * a time.
 */
export class Arrivals implements Arrival {
  readonly #call: Peers
  readonly #exchange: Span
  readonly #byteLength: number
  readonly #elementCounts: number[]
  #missing: number
  #waiting: Waiting | undefined
  #failure: { error: unknown } | undefined

  /** @param byteLength - of an element */
  constructor(call: Peers, messageCount: number, byteLength: number) {
    this.#call = call
    this.#exchange = call.begin('exchange')
    this.#missing = messageCount
    this.#elementCounts = Array.from({ length: messageCount }, () => 0)
    this.#byteLength = byteLength
  }

  /** Asks for one of the messages. It may stay in the sender's memory, since it is only read. */
  borrow(message: number, { from, step, byteLength, memory, onWeight }: BorrowRequest): BorrowedMessage {
    const onProgress = (byteLength: number): void => this.advance(message, byteLength)
    const incoming = this.#call.borrow(from, step, byteLength, memory, { onProgress, onWeight })
    incoming.received.then(
      () => {
        // Small messages, and those that stay in the sender's memory, report no progress before they are complete.
        onProgress(byteLength)
        if (--this.#missing === 0) this.#call.end(this.#exchange)
      },
      (error: unknown) => this.fail(error),
    )
    return incoming
  }

  until(elementCount: number): Promise<void> | undefined {
    if (this.#failure) return Promise.reject(this.#failure.error)
    if (this.#least() >= elementCount) return undefined
    return new Promise((resolve, reject) => (this.#waiting = { elementCount, resolve, reject }))
  }

  /** Notes that the first `byteLength` bytes of a message are here. */
  advance(message: number, byteLength: number): void {
    this.#elementCounts[message] = Math.floor(byteLength / this.#byteLength)
    if (!this.#waiting || this.#least() < this.#waiting.elementCount) return
    this.#waiting.resolve()
    this.#waiting = undefined
  }

  /** Ends the waiting: no more will come. */
  fail(error: unknown): void {
    this.#failure = { error }
    this.#waiting?.reject(error)
  }

  #least(): number {
    return Math.min(...this.#elementCounts)
  }
}
