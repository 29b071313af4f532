/**
 * What a rank is to get from one peer: which memory waits for which message, and what has come before anybody asked for it.
 *
 * A small message comes by itself, against credit. A large one is asked for by READY; between ranks that share memory it is
 * offered (lender.ts), and then read where it lies, or copied from there. What lies with the peer may be withdrawn while it
 * is read, if the peer's call fails. Whoever has read it learns so when it is done, and waits for the peer's last words.
 */
import { uninitializedBytes } from '#platform'
import { totalByteLength, transferredAway } from '../tensor/check.ts'
import { copyParts } from '../tensor/parts.ts'
import type { Borrowed } from '../shared-memory/offer.ts'
import {
  CREDIT_BYTE_LENGTH,
  type Descriptor,
  EAGER_BYTE_LENGTH,
  type FrameHeader,
  HEADER_BYTE_LENGTH,
} from '../wire/frame.ts'
import type { Borrower } from './borrower.ts'
import { MOST_ANNOUNCED, isEager } from './numbering.ts'
import type { Outbox } from './outbox.ts'
import type { Posted, Received, Slot, Slots, Want } from './slot.ts'

/** Credit is given back in portions of this size. */
const CREDIT_REPORT_BYTE_LENGTH = CREDIT_BYTE_LENGTH / 8

const NO_BYTES = new Uint8Array(0)
const nothing = (): Promise<void> => Promise.resolve()

export interface InboxOwner {
  /** The peer has broken a rule: an error that says so. */
  readonly violation: (what: string) => Error
  /** Something went wrong here. */
  readonly failed: (error: Error) => void
  /** Why nothing more may come, once that is so. */
  readonly cause: () => Error | undefined
  /** So many bytes have come through the connection before they were asked for. */
  readonly cameEarly: (sequence: number, byteLength: number) => void
}

export class Inbox {
  readonly #slots: Slots
  readonly #outbox: Outbox
  readonly #borrower: Borrower | undefined
  readonly #owner: InboxOwner
  #consumedUnreported = 0
  #earlyByteLength = 0
  #earlyOfferCount = 0
  #filling: Posted | undefined
  /** Readers of memory that the peer has withdrawn. */
  readonly #readersOfWithdrawn: ((cause: Error) => void)[] = []
  /** Whether all that waited for offers has been asked for, since offers cannot be read. */
  #hasAskedForAll = false

  constructor(slots: Slots, outbox: Outbox, borrower: Borrower | undefined, owner: InboxOwner) {
    this.#slots = slots
    this.#outbox = outbox
    this.#borrower = borrower
    this.#owner = owner
  }

  /** Asks for the message of one step. */
  receive(sequence: number, step: number, descriptor: Descriptor, want: Want): Promise<Received> {
    return new Promise((resolve, reject) => {
      const slot = this.#slots.of(sequence)
      const posted: Posted = { want, descriptor, parts: undefined, resolve, reject }
      slot.posted.set(step, posted)
      if (this.#matchEarly(slot, step) || this.#borrower?.awaitsOffer(want.byteLength)) return
      this.#ask(sequence, step, posted)
    })
  }

  /** Nothing more comes. */
  reject(cause: Error): void {
    for (const [, slot] of this.#slots.all()) for (const posted of slot.posted.values()) posted.reject(cause)
    for (const reject of this.#readersOfWithdrawn) reject(cause)
    this.#filling?.reject(cause)
  }

  // ---- messages through the connection

  /** A frame begins that is none of a message's data. */
  beginOther(): void {
    this.#filling = undefined
  }

  /** Memory for a message. */
  begin(header: FrameHeader): readonly Uint8Array[] {
    const { sequence, step, payloadByteLength } = header
    this.#filling = undefined
    const posted = this.#slots.of(sequence).posted.get(step)
    if (posted?.parts) {
      this.#checkLength(header, posted, payloadByteLength)
      this.#filling = posted
      return posted.parts
    }
    this.#earlyByteLength += HEADER_BYTE_LENGTH + payloadByteLength
    if (!isEager(sequence, payloadByteLength) || this.#earlyByteLength > CREDIT_BYTE_LENGTH)
      throw this.#owner.violation(`${payloadByteLength} bytes for collective #${sequence}, step ${step}, unasked`)
    return payloadByteLength > 0 ? [uninitializedBytes(payloadByteLength)] : []
  }

  progress(byteLength: number): void {
    this.#filling?.want.progress?.(byteLength)
  }

  complete(header: FrameHeader, parts: readonly Uint8Array[]): void {
    const slot = this.#slots.of(header.sequence)
    if (!this.#filling) return this.#keepEarly(slot, header, parts)
    const posted = this.#filling
    this.#filling = undefined
    if (posted.want.byteLength > EAGER_BYTE_LENGTH) this.#borrower?.replaced()
    this.#consumed(header)
    deliver(slot, header, posted, { rankFlags: header.rankFlags, parts: posted.parts!, finish: nothing })
  }

  #consumed(header: FrameHeader): void {
    if (!isEager(header.sequence, header.payloadByteLength)) return
    this.#consumedUnreported += HEADER_BYTE_LENGTH + header.payloadByteLength
    // Most of the credit stays usable meanwhile, so the sender never waits for a report that is not due.
    if (this.#consumedUnreported < CREDIT_REPORT_BYTE_LENGTH) return
    this.#outbox.control('credit', { credit: this.#consumedUnreported })
    this.#consumedUnreported = 0
  }

  // ---- what comes early

  #keepEarly(slot: Slot, header: FrameHeader, parts: readonly Uint8Array[]): void {
    if (slot.early.has(header.step)) throw this.#owner.violation(`step ${header.step} of #${header.sequence} twice`)
    slot.early.set(header.step, { header, parts })
    // It may have been posted while its payload was on the way.
    this.#matchEarly(slot, header.step)
  }

  /** Brings together what has come and what waits for it. */
  #matchEarly(slot: Slot, step: number): boolean {
    const [posted, early] = [slot.posted.get(step), slot.early.get(step)]
    if (!posted || !early) return false
    const { header, parts } = early
    slot.early.delete(step)
    if (header.kind === 'offer') this.#takeOffer(slot, header, parts, posted)
    else this.#takeEarly(slot, header, parts, posted)
    return true
  }

  #takeEarly(slot: Slot, header: FrameHeader, parts: readonly Uint8Array[], posted: Posted): void {
    this.#earlyByteLength -= HEADER_BYTE_LENGTH + header.payloadByteLength
    this.#checkLength(header, posted, header.payloadByteLength)
    const room = makeRoom(posted)
    copyParts(parts, room)
    this.#owner.cameEarly(header.sequence, HEADER_BYTE_LENGTH + header.payloadByteLength)
    this.#consumed(header)
    deliver(slot, header, posted, { rankFlags: header.rankFlags, parts: room, finish: nothing })
  }

  // ---- offers

  offered(header: FrameHeader, body: readonly Uint8Array[]): void {
    if (!this.#borrower) throw this.#owner.violation('an offer, but shares no memory with this rank')
    if (++this.#earlyOfferCount > MOST_ANNOUNCED)
      throw this.#owner.violation(`more than ${MOST_ANNOUNCED} offers that nobody has asked for`)
    this.#keepEarly(this.#slots.of(header.sequence), header, body)
  }

  #takeOffer(slot: Slot, header: FrameHeader, [body = NO_BYTES]: readonly Uint8Array[], posted: Posted): void {
    this.#earlyOfferCount--
    if (posted.want.byteLength <= EAGER_BYTE_LENGTH)
      throw this.#owner.violation(`an offer, where ${posted.want.byteLength} bytes belong, which need none`)
    // Asked for already: it comes through the connection.
    if (posted.parts) return
    const borrowed = this.#borrower!.open(body)
    if (!borrowed) return this.#refuse(header, posted)
    this.#checkLength(header, posted, totalByteLength(borrowed.parts))
    if (!borrowed.isThere) {
      slot.posted.delete(header.step)
      this.#readersOfWithdrawn.push(posted.reject)
    } else if (posted.want.borrows) {
      const finish = (): Promise<void> => this.#finish(header, borrowed)
      posted.want.located?.(borrowed.parts)
      deliver(slot, header, posted, { rankFlags: header.rankFlags, parts: borrowed.parts, finish })
    } else this.#copy(slot, header, borrowed, posted)
  }

  #copy(slot: Slot, header: FrameHeader, borrowed: Borrowed, posted: Posted): void {
    const parts = makeRoom(posted)
    if (totalByteLength(parts) !== posted.want.byteLength) return this.#owner.failed(transferredAway())
    copyParts(borrowed.parts, parts)
    slot.posted.delete(header.step)
    const { rankFlags } = header
    this.#finish(header, borrowed).then(() => posted.resolve({ rankFlags, parts, finish: nothing }), posted.reject)
  }

  #finish({ sequence, step }: FrameHeader, borrowed: Borrowed): Promise<void> {
    const cause = this.#owner.cause()
    if (cause) return Promise.reject(cause)
    if (!borrowed.finish()) return new Promise((_, reject) => this.#readersOfWithdrawn.push(reject))
    this.#outbox.control('done', { sequence, step })
    return Promise.resolve()
  }

  /** This message cannot be read where it lies. If that goes for all others, they must be asked for, too. */
  #refuse({ sequence, step }: FrameHeader, posted: Posted): void {
    this.#ask(sequence, step, posted)
    if (this.#borrower!.isBorrowing || this.#hasAskedForAll) return
    this.#hasAskedForAll = true
    for (const [other, slot] of this.#slots.all())
      for (const [at, waiting] of slot.posted) if (!waiting.parts) this.#ask(other, at, waiting)
  }

  /** Lets a message come through the connection; a large one must be asked for. */
  #ask(sequence: number, step: number, posted: Posted): void {
    makeRoom(posted)
    const { want, descriptor } = posted
    if (!isEager(sequence, want.byteLength)) this.#outbox.control('ready', { sequence, step, descriptor })
  }

  #checkLength({ sequence, step }: FrameHeader, { want }: Posted, byteLength: number): void {
    if (byteLength === want.byteLength) return
    const where = `collective #${sequence}, step ${step}`
    throw this.#owner.violation(`${byteLength} bytes for ${where}, where ${want.byteLength} belong`)
  }
}

function deliver(slot: Slot, { step }: FrameHeader, posted: Posted, received: Received): void {
  slot.posted.delete(step)
  posted.resolve(received)
}

/** Memory for what comes through the connection. */
function makeRoom(posted: Posted): readonly Uint8Array[] {
  if (!posted.parts) {
    posted.parts = posted.want.memory()
    posted.want.located?.(posted.parts)
  }
  return posted.parts
}
