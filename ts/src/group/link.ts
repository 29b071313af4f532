/**
 * This rank's end of its exchange with one peer of a group. It has two connections: this rank reads from one
 * (frame-receiver.ts takes the frames) and writes to the other (outbox.ts).
 *
 * Flow. The sender sends a payload of up to 64 KiB at once, against 1 MiB of credit, which the receiver gives back as
 * its calls consume what came (outbox.ts says how credit is spent). A larger payload waits until the receiver has
 * posted memory for it and sent READY (inbox.ts). So a reader never stops reading, the bytes that come early are
 * bounded, and calls that are awaited in different orders on different ranks cannot block each other. Between ranks
 * that share memory the sender offers the larger payload instead, and the receiver reads it where it lies (lender.ts).
 *
 * The end. A peer says goodbye only after it has got everything that it asked this rank for, and has written everything
 * that it had to send. So nothing is left to do for calls that the peer has completed, and only calls that still need
 * the peer fail (parting.ts says how the goodbye comes).
 */
import { AdasumError } from '../errors.ts'
import { NOBODY } from '../transport/nobody.ts'
import { within } from '../timing/patience.ts'
import type { PendingPipe } from '../transport/pending.ts'
import { FrameDecoder } from '../wire/decoder.ts'
import { type Descriptor, type FrameHeader, HEADER_BYTE_LENGTH, sameDescriptor } from '../wire/frame.ts'
import { Borrower } from './borrower.ts'
import { violationError } from './failure.ts'
import { FrameReceiver } from './frame-receiver.ts'
import { Inbox } from './inbox.ts'
import { LAST_WORDS_MS, abortFrame, sayGoodbye } from './last-words.ts'
import { Lender } from './lender.ts'
import type { LinkOwner } from './link-owner.ts'
import { isEager, isJoin, isMessage } from './numbering.ts'
import { Outbox } from './outbox.ts'
import type { OutgoingMessage } from './outgoing-message.ts'
import { rejectOutstanding, settleRead } from './outstanding.ts'
import { Parting } from './parting.ts'
import type { Peer } from './peer.ts'
import { type ReceivedMessage, Slots, type ReceiveRequest } from './slot.ts'

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
  /** The collectives under way in which this rank has sent something to the peer, or asked it for something. */
  readonly #involved = new Set<number>()
  #hasEnded = false
  #cause: Error | undefined

  constructor(peer: number, reader: PendingPipe, writer: PendingPipe, owner: LinkOwner) {
    this.peer = peer
    this.#owner = owner
    this.#reader = reader
    this.#writer = writer
    this.#outbox = new Outbox(writer, {
      writeByteLength: owner.tuning.writeByteLength,
      oldestSequence: () => owner.oldestSequence(),
      onProgress: (sequence) => owner.onProgress(sequence),
      onError: (error) => this.#onError(error),
    })
    const shared = owner.memoryWith(peer)
    const name = (): string => `Rank ${this.peer} (${this.address})`
    this.#lender = shared && new Lender(shared, this.#outbox, name)
    this.#borrower = shared && new Borrower(shared.memory, name)
    this.#inbox = new Inbox(this.#slots, this.#outbox, this.#borrower, {
      violation: (what) => violationError(this, what),
      onError: (error) => this.#onError(error),
      cause: () => (this.#hasEnded ? this.#cause : undefined),
      onEarlyBytes: (sequence, byteLength) => owner.onEarlyBytes(sequence, byteLength),
    })
    this.#parting = new Parting({
      hasDialled: () => writer.isOpen,
      hasEnded: () => this.#hasEnded,
      settleRead: () => settleRead(this.#slots, this.#lender),
      onLost: (reason, error) => owner.onPeerLost(this, reason, error),
      onUnreachable: (error) => owner.onPeerUnreachable(this, error),
    })
    this.receiver = new FrameReceiver(this, owner, {
      ...{ reader, writer },
      slots: this.#slots,
      inbox: this.#inbox,
      outbox: this.#outbox,
      lender: this.#lender,
      parting: this.#parting,
      hasEnded: () => this.#hasEnded,
      onError: (error) => this.#onError(error),
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

  /** Begins to send: the peer has dialled, so that what is written arrives. */
  open(): void {
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
    return HEADER_BYTE_LENGTH + (this.#lender?.willOffer(byteLength) ? 0 : byteLength)
  }

  receivedByteLength(byteLength: number): number {
    return HEADER_BYTE_LENGTH + (this.#borrower?.awaitsOffer(byteLength) ? 0 : byteLength)
  }

  /** Settles when neither connection uses memory of a call any more. */
  get closed(): Promise<unknown> {
    return Promise.all([this.#reader.closed, this.#writer.closed])
  }

  // ---- calls of this rank

  /**
   * This rank begins a collective.
   *
   * @throws AdasumError ERR_MISMATCH if an earlier frame of the peer has another descriptor of it
   */
  beginCall(sequence: number, descriptor: Descriptor): void {
    const theirs = this.#slots.get(sequence)?.descriptor
    if (theirs && !sameDescriptor(descriptor, theirs))
      throw this.#owner.mismatchError(this, sequence, descriptor, theirs)
    if (this.hasHeard(sequence)) this.#owner.onHeard(sequence, this)
  }

  hasHeard(sequence: number): boolean {
    if (isJoin(sequence)) return this.#owner.joins.hasJoined(this.peer)
    return this.#slots.get(sequence)?.hasHeard ?? false
  }

  descriptorOf(sequence: number): Descriptor | undefined {
    return this.#slots.get(sequence)?.descriptor
  }

  heardSequences(): number[] {
    return [...this.#slots.all()].filter(([, { hasHeard }]) => hasHeard).map(([sequence]) => sequence)
  }

  /** This rank is done with a collective. Returns false if the peer has sent more for it than the call received. */
  finishCall(sequence: number): boolean {
    const slot = this.#slots.get(sequence)
    this.#slots.delete(sequence)
    this.#involved.delete(sequence)
    this.receiver.finishCall(slot)
    this.#outbox.flush()
    return (slot?.early.size ?? 0) === 0
  }

  receive(sequence: number, step: number, descriptor: Descriptor, request: ReceiveRequest): Promise<ReceivedMessage> {
    if (this.#hasEnded) return Promise.reject(this.#cause!)
    this.#involve(sequence)
    return this.#inbox.receive(sequence, step, descriptor, request)
  }

  send(header: FrameHeader, parts: readonly Uint8Array[]): Promise<void> {
    if (this.#hasEnded) return Promise.reject(this.#cause!)
    if (this.#parting.isOver(header.sequence)) return Promise.resolve()
    this.#involve(header.sequence)
    return new Promise((resolve, reject) => {
      const outgoing: OutgoingMessage = { header, parts, resolve, reject }
      if (isEager(header.sequence, header.payloadByteLength)) return this.#outbox.sendEager(outgoing)
      const { ready, offered, waiting } = this.#slots.getOrCreate(header.sequence)
      if (ready.has(header.step)) this.#outbox.sendLarge(outgoing)
      else if (this.#lender?.willOffer(header.payloadByteLength)) offered.set(header.step, this.#lender.offer(outgoing))
      else waiting.set(header.step, outgoing)
    })
  }

  /** Notes that a call needs the peer. */
  #involve(sequence: number): void {
    if (!isMessage(sequence)) this.#involved.add(sequence)
    this.#reportAbsence()
  }

  /** If the peer has left, or cannot be reached, the calls that need it fail in a microtask. */
  #reportAbsence(): void {
    const { lastSequence, dialError } = this.#parting
    if (lastSequence !== undefined) queueMicrotask(() => this.#owner.onPeerDeparture(this, lastSequence))
    if (dialError) queueMicrotask(() => this.#owner.onPeerUnreachable(this, dialError))
  }

  join(sequence: number): Promise<void> {
    if (this.#hasEnded) return Promise.reject(this.#cause!)
    this.#reportAbsence()
    this.#outbox.sendControl('join', { sequence })
    return this.#outbox.whenOpen()
  }

  isRequired(sequence: number): boolean {
    if (isJoin(sequence)) return !this.#owner.joins.hasJoined(this.peer)
    return this.owesAnything(sequence) || (this.#involved.has(sequence) && !this.#parting.isOver(sequence))
  }

  /** Whether this rank waits for a frame of that call: for data, READY or DONE. */
  owesAnything(sequence: number): boolean {
    const slot = this.#slots.get(sequence)
    return slot !== undefined && slot.posted.size + slot.waiting.size + slot.offered.size > 0
  }

  isAwaited(sequence: number): boolean {
    if (isJoin(sequence)) return this.#owner.joins.awaits(this.peer)
    return this.owesAnything(sequence) || this.#outbox.isHolding(sequence)
  }

  announce(sequence: number, descriptor: Descriptor): void {
    if (!this.#hasEnded) this.#outbox.sendControl('call', { sequence, descriptor })
  }

  // ---- the end

  /**
   * Says goodbye after everything written. Resolves when the goodbye has left, with whether there was a connection for
   * it.
   */
  goodbye(lastSequence: number): Promise<boolean> {
    this.#end(new AdasumError('ERR_CLOSED', 'The communicator is closed. Connect again to go on.'))
    return sayGoodbye(this.#reader, this.#writer, lastSequence)
  }

  /** Drops everything queued, tells the peer the cause if there is time, and releases all memory of calls. */
  abort(cause: AdasumError): void {
    if (this.#hasEnded) return
    this.#end(cause)
    this.#rejectAll(cause)
    const lastWords = abortFrame(cause)
    this.#outbox.abort(cause, lastWords)
    this.#reader.setSink(NOBODY)
    this.#reader.write(lastWords)
    this.#reader.end()
    // A peer that connects later is told by the group.
    for (const pipe of [this.#reader, this.#writer]) if (!pipe.isOpen) pipe.destroy()
    void within(LAST_WORDS_MS, this.closed).then(() => this.destroy())
  }

  /** Closes both connections at once. */
  destroy(): void {
    this.#reader.destroy()
    this.#writer.destroy()
  }

  #end(cause: Error): void {
    this.#hasEnded = true
    this.#cause = cause
  }

  #onError(error: Error): void {
    if (!this.#hasEnded) this.#owner.onLinkError(this, error)
  }

  #rejectAll(cause: Error): void {
    this.#inbox.reject(cause)
    rejectOutstanding(this.#slots, this.#lender, cause)
    this.#slots.clear()
  }
}
