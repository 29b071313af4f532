/** Small frames that wait for credit: in order, and those of each collective in theirs. */
import { Queue } from '../queue.ts'
import type { Outgoing } from './outgoing.ts'

export interface EagerFrame {
  readonly outgoing: Outgoing
  isGone: boolean
}

export class EagerFrames {
  readonly #inOrder = new Queue<EagerFrame>()
  readonly #bySequence = new Map<number, Queue<EagerFrame>>()

  push(outgoing: Outgoing): void {
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

  /** @param frame - the first of its collective, as the first of all is, too */
  remove(frame: EagerFrame): void {
    const { sequence } = frame.outgoing.header
    const same = this.#bySequence.get(sequence)!
    same.shift()
    if (same.length === 0) this.#bySequence.delete(sequence)
    frame.isGone = true
  }

  drain(): Outgoing[] {
    this.#bySequence.clear()
    return this.#inOrder
      .drain()
      .filter(({ isGone }) => !isGone)
      .map(({ outgoing }) => outgoing)
  }
}
