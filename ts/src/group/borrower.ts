/** What this rank reads in one peer's memory instead of receiving it; the other side of lender.ts. */
import { reasonOf } from '../errors.ts'
import type { Borrowed } from '../shared-memory/offer.ts'
import type { SharedMemory } from '../shared-memory/shared-memory.ts'
import { EAGER_BYTE_LENGTH } from '../wire/frame.ts'
import { decodeOffer } from '../wire/offer.ts'

export class Borrower {
  readonly #memory: SharedMemory
  /** For messages: its rank and address. */
  readonly #peer: () => string
  #isBorrowing = true
  /** Why not, until it has been said. */
  #reason: string | undefined

  constructor(memory: SharedMemory, peer: () => string) {
    this.#memory = memory
    this.#peer = peer
  }

  /** Whether this rank can read the peer's memory, as far as it has tried. */
  get isBorrowing(): boolean {
    return this.#isBorrowing
  }

  /** Whether a message comes as an offer, rather than when it is asked for. */
  awaitsOffer(byteLength: number): boolean {
    return this.#isBorrowing && byteLength > EAGER_BYTE_LENGTH
  }

  /**
   * Where an offered message lies; undefined if it has to come through the connection.
   *
   * @throws AdasumError ERR_MISMATCH if that is no offer
   */
  open(body: Uint8Array): Borrowed | undefined {
    if (body.length === 0 || !this.#isBorrowing) return undefined
    const offer = decodeOffer(body)
    try {
      return this.#memory.borrow(offer)
    } catch (error) {
      this.#isBorrowing = false
      this.#reason = reasonOf(error)
      return undefined
    }
  }

  /**
   * A message that could not be read has come through the connection: the peer is well, and will not be read from now on. (Of
   * one that has died the memory is gone, too; that is told otherwise.)
   */
  replaced(): void {
    if (this.#reason === undefined) return
    this.#memory.warn(
      `${this.#peer()} is on this machine, but its memory cannot be read (${this.#reason}): large messages come through the ` +
        'connection. Is it another container, or another user? sharedMemory: false on every rank leaves it out.',
    )
    this.#reason = undefined
  }
}
