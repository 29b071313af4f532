/**
 * The calls of a group on this rank: it numbers them, and knows which are under way and up to where all are complete.
 */
import type { Call } from './call.ts'
import { tooManyUnderWayError } from './failure.ts'
import { MOST_CALLS_UNDER_WAY, isCollective, joinSequence, messageOf, messageSequence } from './numbering.ts'

/** How many messages of one ordered pair of ranks have begun, and how many are under way. */
interface MessageCounts {
  begunCount: number
  underWayCount: number
}

export class CallTable {
  readonly #size: number
  readonly #active = new Map<number, Call>()
  /** How many of the active calls are collectives. */
  #collectiveCount = 0
  #lastBegun = 0
  #joinCount = 0
  /** A sequence number below which no collective is under way. */
  #oldestSequence = 1
  /** Counts by ordered pair, such as `0>2`. */
  readonly #messages = new Map<string, MessageCounts>()
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

  /**
   * Takes the sequence number of the next collective.
   *
   * @throws AdasumError ERR_NOT_READY if too many are under way
   */
  takeCollective(): number {
    if (!this.hasRoom) throw tooManyUnderWayError('collectives', this.#collectiveCount)
    this.#collectiveCount++
    return ++this.#lastBegun
  }

  /** Whether another collective may begin. */
  get hasRoom(): boolean {
    return this.#collectiveCount < MOST_CALLS_UNDER_WAY
  }

  /** Takes the number of this rank's next join. */
  takeJoin(): number {
    return joinSequence(this.#joinCount++)
  }

  /** Uses up the number of the next collective, which no rank will call. */
  skipCollective(): void {
    this.#noteOver(++this.#lastBegun)
  }

  /** Takes the sequence number of the next message between two ranks, under the same condition. */
  takeMessage({ from, to }: { from: number; to: number }): number {
    const messages = this.#messagesOf(from, to)
    if (messages.underWayCount >= MOST_CALLS_UNDER_WAY)
      throw tooManyUnderWayError(`messages from rank ${from} to rank ${to}`, messages.underWayCount)
    messages.underWayCount++
    return messageSequence({ from, to, index: messages.begunCount++ }, this.#size)
  }

  #messagesOf(from: number, to: number): MessageCounts {
    const pair = `${from}>${to}`
    let messages = this.#messages.get(pair)
    if (!messages) this.#messages.set(pair, (messages = { begunCount: 0, underWayCount: 0 }))
    return messages
  }

  add(call: Call): void {
    this.#active.set(call.sequence, call)
  }

  remove({ sequence }: Call): void {
    this.#active.delete(sequence)
    const message = messageOf(sequence, this.#size)
    if (message) this.#messagesOf(message.from, message.to).underWayCount--
    else if (isCollective(sequence)) this.#collectiveCount--
  }

  noteCompleted({ sequence }: Call): void {
    if (isCollective(sequence)) this.#noteOver(sequence)
  }

  #noteOver(sequence: number): void {
    this.#completed.add(sequence)
    while (this.#completed.delete(this.#lastCompleted + 1)) this.#lastCompleted++
  }

  /** The call of that number, if it is under way. */
  get(sequence: number): Call | undefined {
    return this.#active.get(sequence)
  }

  /** The calls under way, in the order in which they have begun. */
  calls(): Iterable<Call> {
    return this.#active.values()
  }

  /** Whether that call has not begun. */
  isYetToBegin(sequence: number): boolean {
    const message = messageOf(sequence, this.#size)
    return message ? message.index >= this.#messagesOf(message.from, message.to).begunCount : sequence > this.#lastBegun
  }

  /** The call under way that has begun first. */
  oldest(): Call | undefined {
    return this.#active.values().next().value
  }

  /** The sequence number of the oldest collective under way; infinity if there is none. */
  oldestSequence(): number {
    const isOver = (sequence: number): boolean => sequence <= this.#lastBegun && !this.#active.has(sequence)
    while (isOver(this.#oldestSequence)) this.#oldestSequence++
    return this.#oldestSequence <= this.#lastBegun ? this.#oldestSequence : Infinity
  }
}
