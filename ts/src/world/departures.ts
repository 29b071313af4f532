/**
 * Who has left the world in good order, for those who come too late to be told by the rank itself.
 *
 * Ranks that have been in touch say goodbye to each other. One that has not been in touch with all others tells one of them as
 * well, so that closing costs one connection at most: the lowest rank that it does not know to have left. Whoever cannot reach
 * a rank asks there. Telling and asking are the same: two ranks tell each other whom they know to have left, and after how
 * many collectives.
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
import { GROUP_ID_BYTE_LENGTH } from '../wire/handshake-format.ts'
import type { Dial } from './dial.ts'

/** What such a connection names in place of a group. */
export const NEWS_GROUP_ID: string = 'ff'.repeat(GROUP_ID_BYTE_LENGTH)

const COUNT_BYTE_LENGTH = 4
const ENTRY_BYTE_LENGTH = 4 + 8
/**
 * For telling or asking, the ranks that are tried one after the other included. Whoever has gone may have left its port to a rank
 * of another run that has not begun, which says nothing: so closing must not depend on an answer.
 */
const NEWS_MS = 750
/** Ranks that are tried: those that know may have left without this rank's knowing. */
const MOST_TRIES = 3

export class Departures {
  readonly #rank: number
  readonly #size: number
  readonly #dial: Dial
  /** Last collectives by rank. */
  readonly #known = new Map<number, number>()

  /** @param rank - this one; ranks are the world's */
  constructor(rank: number, size: number, dial: Dial) {
    this.#rank = rank
    this.#size = size
    this.#dial = dial
  }

  note(rank: number, lastSequence: number): void {
    if (rank !== this.#rank) this.#known.set(rank, lastSequence)
  }

  /** The last collective of a rank that has left, as far as others know; undefined if nobody knows of it. */
  async lastSequenceOf(rank: number, signal: AbortSignal): Promise<number | undefined> {
    const limit = new Limit(NEWS_MS, signal)
    for (const keeper of this.#keepers(rank)) {
      if (this.#known.has(rank)) break
      await this.#exchangeWith(keeper, limit.signal)
    }
    limit.release()
    return this.#known.get(rank)
  }

  /** Tells somebody that this rank has left, if anybody may not know. */
  async leave({ lastSequence, informedRanks: told }: Farewell): Promise<void> {
    const isKnownToAll = told.size === this.#size - 1
    // Where others have left after as many collectives, the program is over, and nobody will miss this one.
    const isCommon = lastSequence > 0 && [...this.#known.values()].includes(lastSequence)
    this.#known.set(this.#rank, lastSequence)
    if (isKnownToAll || isCommon) return
    const limit = new Limit(NEWS_MS)
    for (const keeper of this.#keepers())
      if (told.has(keeper) || (await this.#exchangeWith(keeper, limit.signal))) break
    limit.release()
  }

  /** A rank has come to tell, or to ask. */
  async accepted(pipe: Pipe): Promise<void> {
    const limit = new Limit(NEWS_MS)
    await this.#exchange(pipe, limit.signal)
    limit.release()
  }

  /** The ranks to tell, or to ask about one. */
  #keepers(about: number = this.#rank): number[] {
    const ranks = Array.from({ length: this.#size }, (_, rank) => rank)
    return ranks.filter((rank) => rank !== this.#rank && rank !== about && !this.#known.has(rank)).slice(0, MOST_TRIES)
  }

  async #exchangeWith(rank: number, signal: AbortSignal): Promise<boolean> {
    try {
      return await this.#exchange(await this.#dial(rank, NEWS_GROUP_ID, signal), signal)
    } catch {
      // It has left, too, or is out of reach.
      return false
    }
  }

  /** Tells the other end all that is known here, and learns what it knows. */
  async #exchange(pipe: Pipe, signal: AbortSignal): Promise<boolean> {
    const cut = (): void => pipe.destroy()
    signal.addEventListener('abort', cut, { once: true })
    try {
      pipe.write(encode(this.#known))
      const reader = new ExactReader(pipe)
      const count = viewOf(await reader.read(COUNT_BYTE_LENGTH)).getUint32(0)
      if (count > this.#size) return false
      const entries = viewOf(count > 0 ? await reader.read(count * ENTRY_BYTE_LENGTH) : new Uint8Array(0))
      for (let at = 0; at < entries.byteLength; at += ENTRY_BYTE_LENGTH) this.#learn(entries, at)
      // Whoever lets go first would take with it what has not arrived.
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
