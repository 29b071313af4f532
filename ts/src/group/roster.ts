/** The calls of a group on this rank: their numbers, which are under way, and how far they are complete. */
import type { Call } from './call.ts'
import { tooManyUnderWay } from './failure.ts'
import { MOST_CALLS_UNDER_WAY, isMessage, messageOf, messageSequence } from './numbering.ts'

interface Messages {
  begun: number
  underWay: number
}

export class Roster {
  readonly #size: number
  readonly #active = new Map<number, Call>()
  /** Of those. */
  #collectiveCount = 0
  #lastBegun = 0
  /** No collective before it is under way. */
  #oldestSequence = 1
  /** By ordered pair. */
  readonly #messages = new Map<string, Messages>()
  readonly #completed = new Set<number>()
  #lastCompleted = 0

  /** @param size - of the group */
  constructor(size: number) {
    this.#size = size
  }

  /** The sequence number of the last collective that has begun; 0 if none has. */
  get lastBegun(): number {
    return this.#lastBegun
  }

  /** The sequence number of the last collective up to which all are complete. */
  get lastCompleted(): number {
    return this.#lastCompleted
  }

  get isEmpty(): boolean {
    return this.#active.size === 0
  }

  /** Number of the next collective. Throws ERR_NOT_READY if too many are under way. */
  takeCollective(): number {
    if (this.#collectiveCount >= MOST_CALLS_UNDER_WAY) throw tooManyUnderWay('collectives', this.#collectiveCount)
    this.#collectiveCount++
    return ++this.#lastBegun
  }

  /** The same for a message. */
  takeMessage({ from, to }: { from: number; to: number }): number {
    const messages = this.#messagesOf(from, to)
    if (messages.underWay >= MOST_CALLS_UNDER_WAY)
      throw tooManyUnderWay(`messages from rank ${from} to rank ${to}`, messages.underWay)
    messages.underWay++
    return messageSequence({ from, to, index: messages.begun++ }, this.#size)
  }

  #messagesOf(from: number, to: number): Messages {
    const pair = `${from}>${to}`
    let messages = this.#messages.get(pair)
    if (!messages) this.#messages.set(pair, (messages = { begun: 0, underWay: 0 }))
    return messages
  }

  begun(call: Call): void {
    this.#active.set(call.sequence, call)
  }

  ended({ sequence }: Call): void {
    this.#active.delete(sequence)
    const message = messageOf(sequence, this.#size)
    if (message) this.#messagesOf(message.from, message.to).underWay--
    else this.#collectiveCount--
  }

  completed({ sequence }: Call): void {
    if (isMessage(sequence)) return
    this.#completed.add(sequence)
    while (this.#completed.delete(this.#lastCompleted + 1)) this.#lastCompleted++
  }

  /** The call of that number, if it is under way. */
  get(sequence: number): Call | undefined {
    return this.#active.get(sequence)
  }

  /** What is under way, in the order in which it has begun. */
  calls(): Iterable<Call> {
    return this.#active.values()
  }

  /** Whether that call has not begun. */
  isToCome(sequence: number): boolean {
    const message = messageOf(sequence, this.#size)
    return message ? message.index >= this.#messagesOf(message.from, message.to).begun : sequence > this.#lastBegun
  }

  /** The call that has begun first. */
  oldest(): Call | undefined {
    return this.#active.values().next().value
  }

  /** The sequence number of the oldest collective; infinity if there is none. */
  oldestSequence(): number {
    const isOver = (sequence: number): boolean => sequence <= this.#lastBegun && !this.#active.has(sequence)
    while (isOver(this.#oldestSequence)) this.#oldestSequence++
    return this.#oldestSequence <= this.#lastBegun ? this.#oldestSequence : Infinity
  }
}
