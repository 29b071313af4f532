/** Small frames that wait for credit: one queue of all, and one for each collective, each in the order of sending. */
import { Queue } from '../queue.ts'
import type { OutgoingMessage } from './outgoing-message.ts'

export interface EagerFrame {
  readonly outgoing: OutgoingMessage
  isGone: boolean
}

export class EagerFrames {
  readonly #inOrder = new Queue<EagerFrame>()
  readonly #bySequence = new Map<number, Queue<EagerFrame>>()

  push(outgoing: OutgoingMessage): void {
    const frame = { outgoing, isGone: false }
    this.#inOrder.push(frame)
    const { sequence } = outgoing.header
    let same = this.#bySequence.get(sequence)
    if (!same) this.#bySequence.set(sequence, (same = new Queue()))
    same.push(frame)
  }

  get first(): EagerFrame | undefined {
    while (this.#inOrder.first?.isGone) this.#inOrder.shift()
    return this.#inOrder.first
  }

  firstOf(sequence: number): EagerFrame | undefined {
    return this.#bySequence.get(sequence)?.first
  }

  /** @param frame - the first one of its collective (`first` is always such a frame) */
  remove(frame: EagerFrame): void {
    const { sequence } = frame.outgoing.header
    const same = this.#bySequence.get(sequence)!
    same.shift()
    if (same.length === 0) this.#bySequence.delete(sequence)
    frame.isGone = true
  }

  /** Takes all frames, in order. */
  drain(): OutgoingMessage[] {
    this.#bySequence.clear()
    return this.#inOrder
      .drain()
      .filter(({ isGone }) => !isGone)
      .map(({ outgoing }) => outgoing)
  }
}
