/**
 * Which ranks have left the world in good order, for ranks that look for them too late.
 *
 * A rank that closes says goodbye to all ranks that it has been in touch with. If these are not all others, it also
 * tells one more rank, the lowest that it does not know to have left; so closing costs one more connection at most. A
 * rank that cannot reach a peer asks the lowest rank, too. Telling and asking are the same exchange: two ranks tell
 * each other which ranks they know to have left, and after which collective.
 *
 *     from both ends   u32 count, count times: u32 rank, f64 last collective; big-endian
 */
import { viewOf } from '../bytes.ts'
import { type Farewell, LAST_WORDS_MS } from '../group/last-words.ts'
import { Limit } from '../timing/limit.ts'
import { NOBODY } from '../transport/nobody.ts'
import { within } from '../timing/patience.ts'
import type { Pipe } from '../transport/transport.ts'
import { ExactReader } from '../wire/exact-reader.ts'
import { NEWS_GROUP_ID } from '../wire/handshake-format.ts'
import type { Dial } from './dial.ts'

const COUNT_BYTE_LENGTH = 4
const ENTRY_BYTE_LENGTH = 4 + 8
/**
 * The time for telling or asking, over all ranks that are tried. The port of a rank that has gone may belong to a rank
 * of another job that is still starting, and does not answer: so closing must not depend on an answer.
 */
const NEWS_MS = 750
/** How many ranks are tried: the first ones may have left without this rank's knowing. */
const MOST_TRIES = 3

export class Departures {
  readonly #rank: number
  readonly #size: number
  readonly #dial: Dial
  /** By rank that has left: the sequence number of its last collective. */
  readonly #lastSequences = new Map<number, number>()

  /** @param rank - this rank; all ranks here are ranks of the world */
  constructor(rank: number, size: number, dial: Dial) {
    this.#rank = rank
    this.#size = size
    this.#dial = dial
  }

  note(rank: number, lastSequence: number): void {
    if (rank !== this.#rank) this.#lastSequences.set(rank, lastSequence)
  }

  /** Whether this rank knows that a rank has left. */
  isNoted(rank: number): boolean {
    return this.#lastSequences.has(rank)
  }

  /**
   * The last collective of a rank that has left, as this rank or the ranks it asks know it; undefined if none of them
   * knows.
   */
  async lastSequenceOf(rank: number, signal: AbortSignal): Promise<number | undefined> {
    const limit = new Limit(NEWS_MS, signal)
    for (const keeper of this.#keepers(rank)) {
      if (this.#lastSequences.has(rank)) break
      await this.#exchangeWith(keeper, limit.signal)
    }
    limit.release()
    return this.#lastSequences.get(rank)
  }

  /** Tells another rank that this one has left, unless all ranks know it. */
  async leave({ lastSequence, informedRanks }: Farewell): Promise<void> {
    const isKnownToAll = informedRanks.size === this.#size - 1
    // If another rank has left after as many collectives, the program is over, and no rank will miss this one.
    const isCommon = lastSequence > 0 && [...this.#lastSequences.values()].includes(lastSequence)
    this.#lastSequences.set(this.#rank, lastSequence)
    if (isKnownToAll || isCommon) return
    const limit = new Limit(NEWS_MS)
    for (const keeper of this.#keepers())
      if (informedRanks.has(keeper) || (await this.#exchangeWith(keeper, limit.signal))) break
    limit.release()
  }

  /** Exchanges departures with a rank that has dialled to tell, or to ask. */
  async answer(pipe: Pipe): Promise<void> {
    const limit = new Limit(NEWS_MS)
    await this.#exchange(pipe, limit.signal)
    limit.release()
  }

  /** The ranks to tell, or to ask about one. */
  #keepers(about: number = this.#rank): number[] {
    const ranks = Array.from({ length: this.#size }, (_, rank) => rank)
    return ranks
      .filter((rank) => rank !== this.#rank && rank !== about && !this.#lastSequences.has(rank))
      .slice(0, MOST_TRIES)
  }

  async #exchangeWith(rank: number, signal: AbortSignal): Promise<boolean> {
    try {
      return await this.#exchange(await this.#dial(rank, NEWS_GROUP_ID, signal), signal)
    } catch {
      // The rank has left, too, or cannot be reached.
      return false
    }
  }

  /**
   * Tells the other end all departures that are known here, and learns those that it knows. Returns whether that
   * worked.
   */
  async #exchange(pipe: Pipe, signal: AbortSignal): Promise<boolean> {
    const cut = (): void => pipe.destroy()
    signal.addEventListener('abort', cut, { once: true })
    try {
      pipe.write(encode(this.#lastSequences))
      const reader = new ExactReader(pipe)
      const count = viewOf(await reader.read(COUNT_BYTE_LENGTH)).getUint32(0)
      if (count > this.#size) return false
      const entries = viewOf(count > 0 ? await reader.read(count * ENTRY_BYTE_LENGTH) : new Uint8Array(0))
      for (let at = 0; at < entries.byteLength; at += ENTRY_BYTE_LENGTH) this.#learn(entries, at)
      // Destroying the pipe at once would lose bytes that have not arrived at the other end.
      pipe.setSink(NOBODY)
      pipe.end()
      await within(LAST_WORDS_MS, pipe.closed)
      return true
    } catch {
      return false
    } finally {
      signal.removeEventListener('abort', cut)
      pipe.destroy()
    }
  }

  #learn(entries: DataView, at: number): void {
    const [rank, lastSequence] = [entries.getUint32(at), entries.getFloat64(at + 4)]
    if (rank < this.#size && Number.isSafeInteger(lastSequence) && lastSequence >= 0) this.note(rank, lastSequence)
  }
}

function encode(known: ReadonlyMap<number, number>): Uint8Array {
  const bytes = new Uint8Array(COUNT_BYTE_LENGTH + known.size * ENTRY_BYTE_LENGTH)
  const view = viewOf(bytes)
  view.setUint32(0, known.size)
  let at = COUNT_BYTE_LENGTH
  for (const [rank, lastSequence] of known) {
    view.setUint32(at, rank)
    view.setFloat64(at + 4, lastSequence)
    at += ENTRY_BYTE_LENGTH
  }
  return bytes
}
