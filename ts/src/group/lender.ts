/**
 * Offers large messages to one peer of the same machine, which reads them in this rank's memory, instead of sending
 * them.
 *
 *     sender    OFFER (its location)   ->
 *                                      <-   DONE, once the peer has read it
 *     or                               <-   READY: it cannot, or will not; the message comes through the connection
 *
 * An offer needs no memory of the receiver, so it waits for nothing. Once the peer has refused an offer because it
 * cannot read it, this rank offers no more: from then on large messages wait for READY, as they do between machines.
 */
import { transferredAway } from '../tensor/check.ts'
import type { OwnOffer } from '../shared-memory/offer.ts'
import type { SharedMemory } from '../shared-memory/shared-memory.ts'
import { EAGER_BYTE_LENGTH } from '../wire/frame.ts'
import { OFFER_BYTE_LENGTH, encodeOffer } from '../wire/offer.ts'
import { isMessage } from './numbering.ts'
import type { Outbox } from './outbox.ts'
import { type OutgoingMessage, hasLostMemory } from './outgoing-message.ts'
import type { StagedMessage, Staging } from './staging.ts'

/** Memory that ranks of a group share with each other. */
export interface LinkMemory {
  readonly memory: SharedMemory
  readonly staging: Staging
}

/** A message that the peer has been offered. */
export interface OfferedMessage {
  readonly outgoing: OutgoingMessage
  /**
   * Undefined if the message does not lie in shared memory: the offer then has no body, and the peer asks for the
   * message.
   */
  readonly ownOffer: OwnOffer | undefined
  readonly staged: StagedMessage | undefined
}

export class Lender {
  readonly #memory: SharedMemory
  readonly #staging: Staging
  readonly #outbox: Outbox
  /** The peer's rank and address, for messages. */
  readonly #peer: () => string
  #isLending = true

  constructor({ memory, staging }: LinkMemory, outbox: Outbox, peer: () => string) {
    this.#memory = memory
    this.#staging = staging
    this.#outbox = outbox
    this.#peer = peer
  }

  /** Whether this rank offers messages at all: true until the peer has refused one. */
  get isLending(): boolean {
    return this.#isLending
  }

  /** Whether a message of this length is offered, rather than kept until the peer asks for it. */
  willOffer(byteLength: number): boolean {
    return this.#isLending && byteLength > EAGER_BYTE_LENGTH
  }

  /**
   * Offers a message.
   *
   * @throws AdasumError ERR_ARGUMENT if its memory has been transferred away
   */
  offer(outgoing: OutgoingMessage): OfferedMessage {
    if (hasLostMemory(outgoing)) throw transferredAway()
    const { sequence, step, rankFlags, weight, descriptor } = outgoing.header
    const placed = this.#prepare(outgoing)
    this.#outbox.sendControl('offer', { sequence, step, rankFlags, weight, descriptor }, placed?.body)
    return { outgoing, ownOffer: placed?.ownOffer, staged: placed?.staged }
  }

  #prepare({ header, parts }: OutgoingMessage) {
    // Point-to-point messages may wait in any number for their receiver, so they are not copied.
    const isCopied = !isMessage(header.sequence)
    const staged = isCopied || this.#memory.holdsAll(parts) ? this.#staging.stage(parts) : undefined
    const ownOffer = staged && this.#memory.offer(staged.parts)
    const body = ownOffer && encodeOffer(ownOffer.offer)
    if (body && body.length <= OFFER_BYTE_LENGTH) return { ownOffer, staged, body }
    ownOffer?.withdraw()
    staged?.release()
    return undefined
  }

  /** Completes an offer that the peer has read. Returns false, and changes nothing, if the peer has not read it. */
  settleIfRead({ outgoing, ownOffer, staged }: OfferedMessage): boolean {
    if (ownOffer?.reclaimIfRead() !== true) return false
    staged?.release()
    outgoing.resolve()
    return true
  }

  /** The peer asks for an offered message through the connection. */
  onRefusal({ outgoing, ownOffer, staged }: OfferedMessage): void {
    if (ownOffer) {
      this.#isLending = false
      ownOffer.withdraw()
      this.#memory.warn(
        `${this.#peer()} is on this machine, but cannot read this rank's memory: large messages go through the connection. ` +
          '`adasum doctor`, run there, may tell why; sharedMemory: false on every rank leaves it out.',
      )
    }
    staged?.release()
    this.#outbox.sendLarge(outgoing)
  }

  /** Completes an offer that nobody will read: the peer has closed, and did not need it. */
  dropUnwanted({ outgoing, ownOffer, staged }: OfferedMessage): void {
    ownOffer?.withdraw()
    staged?.release()
    outgoing.resolve()
  }

  /**
   * Takes an offer back because the group has failed. A staged copy is not given back for use: the peer may still be
   * reading it, though it will not use what it reads.
   */
  withdraw({ outgoing, ownOffer }: OfferedMessage, cause: Error): void {
    ownOffer?.withdraw()
    outgoing.reject(cause)
  }
}
