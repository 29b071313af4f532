/**
 * What this rank lets one peer read in its memory instead of sending it: large messages between ranks of one machine.
 *
 *     sender    OFFER (where it lies)  ->
 *                                      <-   DONE, once the peer has read it
 *     or                               <-   READY: it cannot, or will not; the message comes through the connection
 *
 * An offer needs no memory of the receiver, so it waits for nothing. One that the peer could not read makes this rank stop
 * offering: from then on large messages wait for READY, as they do between machines.
 */
import { transferredAway } from '../tensor/check.ts'
import type { Placement } from '../shared-memory/offer.ts'
import type { SharedMemory } from '../shared-memory/shared-memory.ts'
import { EAGER_BYTE_LENGTH } from '../wire/frame.ts'
import { OFFER_BYTE_LENGTH, encodeOffer } from '../wire/offer.ts'
import { isMessage } from './numbering.ts'
import type { Outbox } from './outbox.ts'
import { type Outgoing, hasLostMemory } from './outgoing.ts'
import type { Staged, Staging } from './staging.ts'

/** Memory that ranks of a group share with each other. */
export interface LinkMemory {
  readonly memory: SharedMemory
  readonly staging: Staging
}

export interface Offered {
  readonly outgoing: Outgoing
  /** None if the message does not lie in shared memory. */
  readonly placement: Placement | undefined
  readonly staged: Staged | undefined
}

export class Lender {
  readonly #memory: SharedMemory
  readonly #staging: Staging
  readonly #outbox: Outbox
  /** For messages: its rank and address. */
  readonly #peer: () => string
  #isLending = true

  constructor({ memory, staging }: LinkMemory, outbox: Outbox, peer: () => string) {
    this.#memory = memory
    this.#staging = staging
    this.#outbox = outbox
    this.#peer = peer
  }

  /** Whether the peer reads what it is offered. */
  get isLending(): boolean {
    return this.#isLending
  }

  /** Whether a message is offered, rather than kept until the peer asks for it. */
  lends(byteLength: number): boolean {
    return this.#isLending && byteLength > EAGER_BYTE_LENGTH
  }

  /** Offers a message. Throws ERR_ARGUMENT if its memory has been transferred away. */
  offer(outgoing: Outgoing): Offered {
    if (hasLostMemory(outgoing)) throw transferredAway()
    const { sequence, step, rankFlags, descriptor } = outgoing.header
    const placed = this.#place(outgoing)
    this.#outbox.control('offer', { sequence, step, rankFlags, descriptor }, placed?.body)
    return { outgoing, placement: placed?.placement, staged: placed?.staged }
  }

  #place({ header, parts }: Outgoing) {
    // Any number of messages may wait for their receiver: no copies are made for them.
    const isCopied = !isMessage(header.sequence)
    const staged = isCopied || this.#memory.holdsAll(parts) ? this.#staging.stage(parts) : undefined
    const placement = staged && this.#memory.place(staged.parts)
    const body = placement && encodeOffer(placement.offer)
    if (body && body.length <= OFFER_BYTE_LENGTH) return { placement, staged, body }
    placement?.withdraw()
    staged?.release()
    return undefined
  }

  /** The peer has read it. False if it has not. */
  isSettled({ outgoing, placement, staged }: Offered): boolean {
    if (placement?.isFinished() !== true) return false
    staged?.release()
    outgoing.resolve()
    return true
  }

  /** The peer asks for it through the connection. */
  refused({ outgoing, placement, staged }: Offered): void {
    if (placement) {
      this.#isLending = false
      placement.withdraw()
      this.#memory.warn(
        `${this.#peer()} is on this machine, but cannot read this rank's memory: large messages go through the connection. ` +
          '`adasum doctor`, run there, may tell why; sharedMemory: false on every rank leaves it out.',
      )
    }
    staged?.release()
    this.#outbox.sendLarge(outgoing)
  }

  /** The peer has closed, and needed no more of it. */
  unwanted({ outgoing, placement, staged }: Offered): void {
    placement?.withdraw()
    staged?.release()
    outgoing.resolve()
  }

  /** The group has failed. The copy is not used again: the peer may still read it, though it will not use what it reads. */
  withdraw({ outgoing, placement }: Offered, cause: Error): void {
    placement?.withdraw()
    outgoing.reject(cause)
  }
}
