/** Reads large messages in one peer's memory instead of receiving them; the other side of lender.ts. */
import { reasonOf } from '../errors.ts'
import type { PeerOffer } from '../shared-memory/offer.ts'
import type { SharedMemory } from '../shared-memory/shared-memory.ts'
import { EAGER_BYTE_LENGTH } from '../wire/frame.ts'
import { decodeOffer } from '../wire/offer.ts'

export class Borrower {
  readonly #memory: SharedMemory
  /** The peer's rank and address, for messages. */
  readonly #peer: () => string
  #isBorrowing = true
  /** Why the peer's memory cannot be read, until a warning has said so. */
  #warningReason: string | undefined

  constructor(memory: SharedMemory, peer: () => string) {
    this.#memory = memory
    this.#peer = peer
  }

  /** Whether this rank can read the peer's memory: true until an attempt has failed. */
  get isBorrowing(): boolean {
    return this.#isBorrowing
  }

  /** Whether the peer offers a message of this length by itself, so that this rank need not ask for it. */
  awaitsOffer(byteLength: number): boolean {
    return this.#isBorrowing && byteLength > EAGER_BYTE_LENGTH
  }

  /**
   * Opens an offer; undefined if the message has to come through the connection.
   *
   * @throws AdasumError ERR_MISMATCH if the body is no offer
   */
  open(body: Uint8Array): PeerOffer | undefined {
    if (body.length === 0 || !this.#isBorrowing) return undefined
    const offer = decodeOffer(body)
    try {
      return this.#memory.borrow(offer)
    } catch (error) {
      this.#isBorrowing = false
      this.#warningReason = reasonOf(error)
      return undefined
    }
  }

  /**
   * Warns, once, that messages come through the connection although the peer is on this machine. It is called when a
   * message that could not be read has come that way: only then is it sure that the peer is alive. A peer that has died
   * takes its memory with it, which is reported as a lost peer.
   */
  warnOfReplacement(): void {
    if (this.#warningReason === undefined) return
    this.#memory.warn(
      `${this.#peer()} is on this machine, but its memory cannot be read (${this.#warningReason}): large messages come through the ` +
        'connection. Is it another container, or another user? sharedMemory: false on every rank leaves it out.',
    )
    this.#warningReason = undefined
  }
}
