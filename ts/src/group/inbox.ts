/**
 * The messages that this rank receives from one peer: which memory waits for which message, and what has come before
 * any call asked for it.
 *
 * The peer sends a small message by itself, against credit. For a large one it waits until this rank sends READY.
 * Between ranks that share memory it offers the large one instead (lender.ts), and this rank reads it where it lies, or
 * copies it from there. If the peer's call fails meanwhile, the peer withdraws the offer. The reader notices that when
 * it has finished reading: what it has read does not count, and it waits for the peer's last words, which bring the
 * cause.
 */
import { uninitializedBytes } from '#platform'
import { totalByteLength, transferredAway } from '../tensor/check.ts'
import { copyParts } from '../tensor/parts.ts'
import type { PeerOffer } from '../shared-memory/offer.ts'
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
import type { PostedReceive, ReceivedMessage, Slot, Slots, ReceiveRequest } from './slot.ts'

/** Credit is given back in portions of this size. */
const CREDIT_REPORT_BYTE_LENGTH = CREDIT_BYTE_LENGTH / 8

const NO_BYTES = new Uint8Array(0)
const nothing = (): Promise<void> => Promise.resolve()

export interface InboxOwner {
  /** The error that says that the peer has broken the protocol. */
  readonly violation: (what: string) => Error
  /** A message cannot be received, for a reason of this rank's. */
  readonly onError: (error: Error) => void
  /** Why the link has ended; undefined while it has not. */
  readonly cause: () => Error | undefined
  /** So many bytes have come through the connection before they were asked for. */
  readonly onEarlyBytes: (sequence: number, byteLength: number) => void
}

export class Inbox {
  readonly #slots: Slots
  readonly #outbox: Outbox
  readonly #borrower: Borrower | undefined
  readonly #owner: InboxOwner
  /** Eager bytes that calls have consumed and the peer has not got back as credit. */
  #consumedUnreported = 0
  #earlyByteLength = 0
  #earlyOfferCount = 0
  /** The receive whose memory the payload under way fills; undefined for any other frame. */
  #filling: PostedReceive | undefined
  /** Rejects the readers of offers that the peer has withdrawn. */
  readonly #readersOfWithdrawn: ((cause: Error) => void)[] = []
  /** Whether this rank has asked for all messages that waited for offers, because it cannot read offers. */
  #hasAskedForAll = false

  constructor(slots: Slots, outbox: Outbox, borrower: Borrower | undefined, owner: InboxOwner) {
    this.#slots = slots
    this.#outbox = outbox
    this.#borrower = borrower
    this.#owner = owner
  }

  /** Receives the message of one step, and asks the peer for it if need be. */
  receive(sequence: number, step: number, descriptor: Descriptor, request: ReceiveRequest): Promise<ReceivedMessage> {
    return new Promise((resolve, reject) => {
      const slot = this.#slots.getOrCreate(sequence)
      const posted: PostedReceive = { request, descriptor, parts: undefined, resolve, reject }
      slot.posted.set(step, posted)
      if (this.#matchEarly(slot, step) || this.#borrower?.awaitsOffer(request.byteLength)) return
      this.#ask(sequence, step, posted)
    })
  }

  /** Rejects all receives that wait. */
  reject(cause: Error): void {
    for (const [, slot] of this.#slots.all()) for (const posted of slot.posted.values()) posted.reject(cause)
    for (const reject of this.#readersOfWithdrawn) reject(cause)
    this.#filling?.reject(cause)
  }

  // ---- messages through the connection

  /** A frame begins that carries no data of a message. */
  beginControl(): void {
    this.#filling = undefined
  }

  /** A DATA frame begins. Returns the memory for its payload. */
  begin(header: FrameHeader): readonly Uint8Array[] {
    const { sequence, step, payloadByteLength } = header
    this.#filling = undefined
    const posted = this.#slots.getOrCreate(sequence).posted.get(step)
    if (posted?.parts) {
      this.#checkLength(header, posted, payloadByteLength)
      this.#filling = posted
      posted.request.watcher?.onWeight?.(header.weight)
      return posted.parts
    }
    this.#earlyByteLength += HEADER_BYTE_LENGTH + payloadByteLength
    if (!isEager(sequence, payloadByteLength) || this.#earlyByteLength > CREDIT_BYTE_LENGTH)
      throw this.#owner.violation(`${payloadByteLength} bytes for collective #${sequence}, step ${step}, unasked`)
    return payloadByteLength > 0 ? [uninitializedBytes(payloadByteLength)] : []
  }

  progress(byteLength: number): void {
    this.#filling?.request.watcher?.onProgress?.(byteLength)
  }

  complete(header: FrameHeader, parts: readonly Uint8Array[]): void {
    const slot = this.#slots.getOrCreate(header.sequence)
    if (!this.#filling) return this.#keepEarly(slot, header, parts)
    const posted = this.#filling
    this.#filling = undefined
    if (posted.request.byteLength > EAGER_BYTE_LENGTH) this.#borrower?.warnOfReplacement()
    this.#noteConsumed(header)
    deliver(slot, header, posted, { rankFlags: header.rankFlags, parts: posted.parts!, finish: nothing })
  }

  #noteConsumed(header: FrameHeader): void {
    if (!isEager(header.sequence, header.payloadByteLength)) return
    this.#consumedUnreported += HEADER_BYTE_LENGTH + header.payloadByteLength
    // Most of the credit stays usable until the next report, so the sender never waits for one that is not due.
    if (this.#consumedUnreported < CREDIT_REPORT_BYTE_LENGTH) return
    this.#outbox.sendControl('credit', { credit: this.#consumedUnreported })
    this.#consumedUnreported = 0
  }

  // ---- messages before their receives

  #keepEarly(slot: Slot, header: FrameHeader, parts: readonly Uint8Array[]): void {
    if (slot.early.has(header.step)) throw this.#owner.violation(`step ${header.step} of #${header.sequence} twice`)
    slot.early.set(header.step, { header, parts })
    // The receive may have been posted while the payload was on its way.
    this.#matchEarly(slot, header.step)
  }

  /** Matches a message that has come with the receive that waits for it. Returns false if either is missing. */
  #matchEarly(slot: Slot, step: number): boolean {
    const [posted, early] = [slot.posted.get(step), slot.early.get(step)]
    if (!posted || !early) return false
    const { header, parts } = early
    slot.early.delete(step)
    if (header.kind === 'offer') this.#takeOffer(slot, header, parts, posted)
    else this.#takeEarly(slot, header, parts, posted)
    return true
  }

  #takeEarly(slot: Slot, header: FrameHeader, parts: readonly Uint8Array[], posted: PostedReceive): void {
    this.#earlyByteLength -= HEADER_BYTE_LENGTH + header.payloadByteLength
    this.#checkLength(header, posted, header.payloadByteLength)
    const memory = memoryFor(posted)
    copyParts(parts, memory)
    posted.request.watcher?.onWeight?.(header.weight)
    this.#owner.onEarlyBytes(header.sequence, HEADER_BYTE_LENGTH + header.payloadByteLength)
    this.#noteConsumed(header)
    deliver(slot, header, posted, { rankFlags: header.rankFlags, parts: memory, finish: nothing })
  }

  // ---- offers

  onOffer(header: FrameHeader, body: readonly Uint8Array[]): void {
    if (!this.#borrower) throw this.#owner.violation('an offer, but shares no memory with this rank')
    if (++this.#earlyOfferCount > MOST_ANNOUNCED)
      throw this.#owner.violation(`more than ${MOST_ANNOUNCED} offers that nobody has asked for`)
    this.#keepEarly(this.#slots.getOrCreate(header.sequence), header, body)
  }

  #takeOffer(slot: Slot, header: FrameHeader, [body = NO_BYTES]: readonly Uint8Array[], posted: PostedReceive): void {
    this.#earlyOfferCount--
    if (posted.request.byteLength <= EAGER_BYTE_LENGTH)
      throw this.#owner.violation(`an offer, where ${posted.request.byteLength} bytes belong, which need none`)
    // This rank has asked for the message already, so it comes through the connection.
    if (posted.parts) return
    const borrowed = this.#borrower!.open(body)
    if (!borrowed) return this.#refuse(header, posted)
    this.#checkLength(header, posted, totalByteLength(borrowed.parts))
    posted.request.watcher?.onWeight?.(header.weight)
    if (!borrowed.isAvailable) {
      slot.posted.delete(header.step)
      this.#readersOfWithdrawn.push(posted.reject)
    } else if (posted.request.mayBorrow) {
      const finish = (): Promise<void> => this.#finish(header, borrowed)
      posted.request.onLocated?.(borrowed.parts)
      deliver(slot, header, posted, { rankFlags: header.rankFlags, parts: borrowed.parts, finish })
    } else this.#copy(slot, header, borrowed, posted)
  }

  #copy(slot: Slot, header: FrameHeader, borrowed: PeerOffer, posted: PostedReceive): void {
    const parts = memoryFor(posted)
    if (totalByteLength(parts) !== posted.request.byteLength) return this.#owner.onError(transferredAway())
    copyParts(borrowed.parts, parts)
    slot.posted.delete(header.step)
    const { rankFlags } = header
    this.#finish(header, borrowed).then(() => posted.resolve({ rankFlags, parts, finish: nothing }), posted.reject)
  }

  #finish({ sequence, step }: FrameHeader, borrowed: PeerOffer): Promise<void> {
    const cause = this.#owner.cause()
    if (cause) return Promise.reject(cause)
    if (!borrowed.finish()) return new Promise((_, reject) => this.#readersOfWithdrawn.push(reject))
    this.#outbox.sendControl('done', { sequence, step })
    return Promise.resolve()
  }

  /**
   * Asks for a message that cannot be read where it lies, and, if the peer's memory cannot be read at all, for all
   * others, once.
   */
  #refuse({ sequence, step }: FrameHeader, posted: PostedReceive): void {
    this.#ask(sequence, step, posted)
    if (this.#borrower!.isBorrowing || this.#hasAskedForAll) return
    this.#hasAskedForAll = true
    for (const [other, slot] of this.#slots.all())
      for (const [at, waiting] of slot.posted) if (!waiting.parts) this.#ask(other, at, waiting)
  }

  /** Lets a message come through the connection: provides its memory, and asks the peer for a large one. */
  #ask(sequence: number, step: number, posted: PostedReceive): void {
    memoryFor(posted)
    const { request, descriptor } = posted
    if (!isEager(sequence, request.byteLength)) this.#outbox.sendControl('ready', { sequence, step, descriptor })
  }

  #checkLength({ sequence, step }: FrameHeader, { request }: PostedReceive, byteLength: number): void {
    if (byteLength === request.byteLength) return
    const where = `collective #${sequence}, step ${step}`
    throw this.#owner.violation(`${byteLength} bytes for ${where}, where ${request.byteLength} belong`)
  }
}

function deliver(slot: Slot, { step }: FrameHeader, posted: PostedReceive, received: ReceivedMessage): void {
  slot.posted.delete(step)
  posted.resolve(received)
}

/** The memory for a message that comes through the connection, or is copied. */
function memoryFor(posted: PostedReceive): readonly Uint8Array[] {
  if (!posted.parts) {
    posted.parts = posted.request.memory()
    posted.request.onLocated?.(posted.parts)
  }
  return posted.parts
}
