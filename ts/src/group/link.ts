/**
 * One peer of a group: the connection that this rank reads from (frame-receiver.ts has what comes there), and the one that it
 * writes to.
 *
 * Flow. A payload of up to 64 KiB is sent at once, against 1 MiB of credit, which the receiver gives back as its calls
 * consume what came (outbox.ts says how it is spent). A larger one waits until the receiver has posted its memory and said
 * READY (inbox.ts). So a reader never stops reading, what comes early is bounded, and calls awaited in different orders on
 * different ranks cannot block each other.
 * Between ranks that share memory a larger one is offered instead, and read where it lies (lender.ts).
 *
 * The end. A peer that says goodbye has had everything from this rank that it asked for, and has written everything that it
 * had to: what is left to do for a call that it has been through is done (parting.ts says how the word comes). Calls fail
 * only if they cannot do without the peer.
 */
import { AdasumError } from '../errors.ts'
import { NOBODY } from '../transport/nobody.ts'
import { within } from '../timing/patience.ts'
import type { PendingPipe } from '../transport/pending.ts'
import { FrameDecoder } from '../wire/decoder.ts'
import { type Descriptor, type FrameHeader, HEADER_BYTE_LENGTH, sameDescriptor } from '../wire/frame.ts'
import { Borrower } from './borrower.ts'
import { violation } from './failure.ts'
import { FrameReceiver } from './frame-receiver.ts'
import { Inbox } from './inbox.ts'
import { LAST_WORDS_MS, abortFrame, sayGoodbye } from './last-words.ts'
import { Lender } from './lender.ts'
import type { LinkOwner } from './link-owner.ts'
import { isEager, isMessage } from './numbering.ts'
import { Outbox } from './outbox.ts'
import type { Outgoing } from './outgoing.ts'
import { rejectOutstanding, settleFinished } from './outstanding.ts'
import { Parting } from './parting.ts'
import type { Peer } from './peer.ts'
import { type Received, Slots, type Want } from './slot.ts'

export class Link implements Peer {
  readonly peer: number
  /** Takes the frames that the peer sends. */
  readonly receiver: FrameReceiver
  readonly #owner: LinkOwner
  readonly #reader: PendingPipe
  readonly #writer: PendingPipe
  readonly #slots = new Slots()
  readonly #outbox: Outbox
  readonly #inbox: Inbox
  readonly #lender: Lender | undefined
  readonly #borrower: Borrower | undefined
  readonly #parting: Parting
  /** Collectives under way in which this rank has sent the peer something, or asked it for something. */
  readonly #involved = new Set<number>()
  #ended = false
  #cause: Error | undefined

  constructor(peer: number, reader: PendingPipe, writer: PendingPipe, owner: LinkOwner) {
    this.peer = peer
    this.#owner = owner
    this.#reader = reader
    this.#writer = writer
    this.#outbox = new Outbox(writer, {
      writeByteLength: owner.tuning.writeByteLength,
      oldestSequence: () => owner.oldestSequence(),
      progressed: (sequence) => owner.progressed(sequence),
      failed: (error) => this.#failed(error),
    })
    const shared = owner.memoryWith(peer)
    const name = (): string => `Rank ${this.peer} (${this.address})`
    this.#lender = shared && new Lender(shared, this.#outbox, name)
    this.#borrower = shared && new Borrower(shared.memory, name)
    this.#inbox = new Inbox(this.#slots, this.#outbox, this.#borrower, {
      violation: (what) => violation(this, what),
      failed: (error) => this.#failed(error),
      cause: () => (this.#ended ? this.#cause : undefined),
      cameEarly: (sequence, byteLength) => owner.cameEarly(sequence, byteLength),
    })
    this.#parting = new Parting({
      hasDialled: () => writer.isOpen,
      hasEnded: () => this.#ended,
      settleFinished: () => settleFinished(this.#slots, this.#lender),
      lost: (reason, error) => owner.lost(this, reason, error),
      unreachable: (error) => owner.unreachable(this, error),
    })
    this.receiver = new FrameReceiver(this, owner, {
      ...{ reader, writer },
      slots: this.#slots,
      inbox: this.#inbox,
      outbox: this.#outbox,
      lender: this.#lender,
      parting: this.#parting,
      hasEnded: () => this.#ended,
      failed: (error) => this.#failed(error),
    })
    reader.unref()
    writer.unref()
    reader.setSink(new FrameDecoder(this.receiver))
    writer.setSink(new FrameDecoder(this.receiver.backChannel()))
  }

  get address(): string {
    return this.#reader.remoteAddress
  }

  get heardAt(): number {
    return this.#parting.heardAt
  }

  /** The peer has dialled: what is written arrives. */
  opened(): void {
    this.#outbox.open()
  }

  get lastSequence(): number | undefined {
    return this.#parting.lastSequence
  }

  /** Whether large messages are read where they lie, in both directions. */
  get sharesMemory(): boolean {
    return this.#lender?.isLending === true && this.#borrower?.isBorrowing === true
  }

  sentByteLength(byteLength: number): number {
    return HEADER_BYTE_LENGTH + (this.#lender?.lends(byteLength) ? 0 : byteLength)
  }

  receivedByteLength(byteLength: number): number {
    return HEADER_BYTE_LENGTH + (this.#borrower?.awaitsOffer(byteLength) ? 0 : byteLength)
  }

  /** Settles when neither connection uses memory of a call any more. */
  get closed(): Promise<unknown> {
    return Promise.all([this.#reader.closed, this.#writer.closed])
  }

  // ---- calls of this rank

  /** This rank has begun a collective: what the peer said of it earlier must agree. */
  begun(sequence: number, descriptor: Descriptor): void {
    const theirs = this.#slots.known(sequence)?.descriptor
    if (theirs && !sameDescriptor(descriptor, theirs))
      throw this.#owner.mismatchError(this, sequence, descriptor, theirs)
    if (this.hasHeard(sequence)) this.#owner.heard(sequence)
  }

  hasHeard(sequence: number): boolean {
    return this.#slots.known(sequence)?.isHeard ?? false
  }

  /** This rank is done with a collective. Returns false if the peer sent more for it than was asked for. */
  finished(sequence: number): boolean {
    const slot = this.#slots.known(sequence)
    this.#slots.delete(sequence)
    this.#involved.delete(sequence)
    this.receiver.finished(slot)
    this.#outbox.flush()
    return (slot?.early.size ?? 0) === 0
  }

  receive(sequence: number, step: number, descriptor: Descriptor, want: Want): Promise<Received> {
    if (this.#ended) return Promise.reject(this.#cause!)
    this.#involve(sequence)
    return this.#inbox.receive(sequence, step, descriptor, want)
  }

  send(header: FrameHeader, parts: readonly Uint8Array[]): Promise<void> {
    if (this.#ended) return Promise.reject(this.#cause!)
    if (this.#parting.isOver(header.sequence)) return Promise.resolve()
    this.#involve(header.sequence)
    return new Promise((resolve, reject) => {
      const outgoing: Outgoing = { header, parts, resolve, reject }
      if (isEager(header.sequence, header.payloadByteLength)) return this.#outbox.sendEager(outgoing)
      const { ready, offered, waiting } = this.#slots.of(header.sequence)
      if (ready.has(header.step)) this.#outbox.sendLarge(outgoing)
      else if (this.#lender?.lends(header.payloadByteLength)) offered.set(header.step, this.#lender.offer(outgoing))
      else waiting.set(header.step, outgoing)
    })
  }

  /** A call needs the peer, which may have left. */
  #involve(sequence: number): void {
    if (!isMessage(sequence)) this.#involved.add(sequence)
    const { lastSequence, dialError } = this.#parting
    if (lastSequence !== undefined) queueMicrotask(() => this.#owner.departed(this, lastSequence))
    if (dialError) queueMicrotask(() => this.#owner.unreachable(this, dialError))
  }

  misses(sequence: number): boolean {
    return this.needs(sequence) || (this.#involved.has(sequence) && !this.#parting.isOver(sequence))
  }

  /** Whether the peer still has to send something for that call, or to say that it is ready or done. */
  needs(sequence: number): boolean {
    const slot = this.#slots.known(sequence)
    return slot !== undefined && slot.posted.size + slot.waiting.size + slot.offered.size > 0
  }

  isWaiting(sequence: number): boolean {
    return this.needs(sequence) || this.#outbox.isHolding(sequence)
  }

  announce(sequence: number, descriptor: Descriptor): void {
    if (!this.#ended) this.#outbox.control('call', { sequence, descriptor })
  }

  // ---- the end

  /** Says goodbye after everything written; resolves when it has left, with whether there was a way to say it. */
  goodbye(lastSequence: number): Promise<boolean> {
    this.#end(new AdasumError('ERR_CLOSED', 'The communicator is closed. Connect again to go on.'))
    return sayGoodbye(this.#reader, this.#writer, lastSequence)
  }

  /** Drops everything queued, tells the peer why if there is time, and lets go of all memory. */
  abort(cause: AdasumError): void {
    if (this.#ended) return
    this.#end(cause)
    this.#rejectAll(cause)
    const lastWords = abortFrame(cause)
    this.#outbox.abort(cause, lastWords)
    this.#reader.setSink(NOBODY)
    this.#reader.write(lastWords)
    this.#reader.end()
    // Who comes later is told by the group.
    for (const pipe of [this.#reader, this.#writer]) if (!pipe.isOpen) pipe.destroy()
    void within(LAST_WORDS_MS, this.closed).then(() => this.destroy())
  }

  /** Lets go of both connections at once. */
  destroy(): void {
    this.#reader.destroy()
    this.#writer.destroy()
  }

  #end(cause: Error): void {
    this.#ended = true
    this.#cause = cause
  }

  #failed(error: Error): void {
    if (!this.#ended) this.#owner.broken(this, error)
  }

  #rejectAll(cause: Error): void {
    this.#inbox.reject(cause)
    rejectOutstanding(this.#slots, this.#lender, cause)
    this.#slots.clear()
  }
}
