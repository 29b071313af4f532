/**
 * One peer of a group: the connection that this rank reads from, and the one that it writes to.
 *
 * Flow. A payload of up to 64 KiB is sent at once, against 1 MiB of credit, which the receiver gives back as its calls
 * consume what came (outbox.ts says how it is spent). A larger one waits until the receiver has posted its memory and said READY (inbox.ts). So a reader never stops
 * reading, what comes early is bounded, and calls awaited in different orders on different ranks cannot block each other.
 * Between ranks that share memory a larger one is offered instead, and read where it lies (lender.ts).
 *
 * The end. A peer says GOODBYE on the connection that is read from it. A failing one says ABORT on both, since it may be
 * in the middle of a large payload on one. So the end of one connection without a word may still be explained on the
 * other: the peer is lost when both have ended, or after a moment.
 */
import { AdasumError } from '../errors.ts'
import { NOBODY } from '../transport/nobody.ts'
import { patientTimeout, within } from '../transport/patience.ts'
import type { Pipe } from '../transport/transport.ts'
import { type FrameHandler, FrameDecoder } from '../wire/decoder.ts'
import {
  ABORT_BYTE_LENGTH,
  type Descriptor,
  type FrameHeader,
  HEADER_BYTE_LENGTH,
  sameDescriptor,
} from '../wire/frame.ts'
import { OFFER_BYTE_LENGTH } from '../wire/offer.ts'
import { decodeCause } from './abort.ts'
import { Borrower } from './borrower.ts'
import { violation } from './failure.ts'
import { Inbox } from './inbox.ts'
import { Lender } from './lender.ts'
import { type Outgoing, Outbox } from './outbox.ts'
import { abortFrame, goodbyeFrame } from './last-words.ts'
import type { LinkOwner } from './link-owner.ts'
import { isEager } from './numbering.ts'
import { type Received, Slots, type Want } from './slot.ts'

/** How long a failing group waits for its last words to leave, and one that says goodbye for them to arrive. */
const LAST_WORDS_MS = 250
/** How long a goodbye waits behind what the peer has not read yet: it may be computing. */
const GOODBYE_MS = 30_000
/** How long the end of one connection may stay without an explanation on the other, nor anything else coming there. */
const EXPLANATION_MS = 1000
/** Announcements of memory that a peer may make for the calls that are under way or to come. */
const READY_LIMIT = 1 << 16

export class Link implements FrameHandler {
  readonly peer: number
  readonly #owner: LinkOwner
  readonly #reader: Pipe
  readonly #writer: Pipe
  readonly #slots = new Slots()
  readonly #outbox: Outbox
  readonly #inbox: Inbox
  readonly #lender: Lender | undefined
  readonly #borrower: Borrower | undefined
  #readyCount = 0
  #lastSequence: number | undefined
  #ended = false
  #isHalfEnded = false
  /** When the connection that is read last brought something. */
  #heardAt = 0
  #cause: Error | undefined

  constructor(peer: number, reader: Pipe, writer: Pipe, owner: LinkOwner) {
    this.peer = peer
    this.#owner = owner
    this.#reader = reader
    this.#writer = writer
    this.#outbox = new Outbox(writer, {
      writeByteLength: owner.tuning.writeByteLength,
      oldestSequence: () => owner.oldestSequence(),
      progressed: (sequence) => owner.progressed(sequence),
      failed: (error) => this.failed(error),
    })
    const shared = owner.memoryWith(peer)
    const name = (): string => `Rank ${this.peer} (${this.address})`
    this.#lender = shared && new Lender(shared, this.#outbox, name)
    this.#borrower = shared && new Borrower(shared.memory, name)
    this.#inbox = new Inbox(this.#slots, this.#outbox, this.#borrower, {
      violation: (what) => violation(this, what),
      failed: (error) => this.failed(error),
      cause: () => (this.#ended ? this.#cause : undefined),
      cameEarly: (sequence, byteLength) => owner.cameEarly(sequence, byteLength),
    })
    reader.unref()
    writer.unref()
    reader.setSink(new FrameDecoder(this))
    writer.setSink(new FrameDecoder(this.#backChannel()))
  }

  /** On the connection that this rank writes to, a peer says nothing but why it fails. */
  #backChannel(): FrameHandler {
    return {
      begin: (header) => {
        if (header.kind !== 'abort') throw violation(this, `a ${header.kind} frame on a connection that it only reads`)
        return this.#beginControl(header)
      },
      progress: () => undefined,
      complete: (header, payload) => this.complete(header, payload),
      failed: (error) => this.failed(error),
      ended: (_, error) => this.#unexplainedEnd('its connection ended without a goodbye', error),
    }
  }

  get address(): string {
    return this.#reader.remoteAddress
  }

  /** The peer has dialled: what is written arrives. */
  opened(): void {
    this.#outbox.open()
  }

  /** The peer's last collective, once it has said goodbye. */
  get lastSequence(): number | undefined {
    return this.#lastSequence
  }

  /** Whether large messages are read where they lie, in both directions. */
  get sharesMemory(): boolean {
    return this.#lender?.isLending === true && this.#borrower?.isBorrowing === true
  }

  /** Bytes of a message that go through the connection. */
  sentByteLength(byteLength: number): number {
    return HEADER_BYTE_LENGTH + (this.#lender?.lends(byteLength) ? 0 : byteLength)
  }

  /** The same for one that comes. */
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
    if (theirs && !sameDescriptor(descriptor, theirs)) throw this.#owner.differs(this, sequence, descriptor, theirs)
    if (this.hasHeard(sequence)) this.#owner.heard(sequence)
  }

  /** Whether the peer has come to a collective that is under way: something has come from it. */
  hasHeard(sequence: number): boolean {
    return this.#slots.known(sequence)?.isHeard ?? false
  }

  /** This rank is done with a collective. Returns false if the peer sent more for it than was asked for. */
  finished(sequence: number): boolean {
    const slot = this.#slots.known(sequence)
    this.#slots.delete(sequence)
    this.#readyCount -= slot?.ready.size ?? 0
    this.#outbox.flush()
    return (slot?.early.size ?? 0) === 0
  }

  /** Asks for the message of one step. */
  receive(sequence: number, step: number, descriptor: Descriptor, want: Want): Promise<Received> {
    if (this.#ended) return Promise.reject(this.#cause!)
    return this.#inbox.receive(sequence, step, descriptor, want)
  }

  /** Resolves when the memory may be changed again. */
  send(header: FrameHeader, parts: readonly Uint8Array[]): Promise<void> {
    if (this.#ended) return Promise.reject(this.#cause!)
    return new Promise((resolve, reject) => {
      const outgoing: Outgoing = { header, parts, resolve, reject }
      if (isEager(header.sequence, header.payloadByteLength)) return this.#outbox.sendEager(outgoing)
      const { ready, offered, waiting } = this.#slots.of(header.sequence)
      if (ready.has(header.step)) this.#outbox.sendLarge(outgoing)
      else if (this.#lender?.lends(header.payloadByteLength)) offered.set(header.step, this.#lender.offer(outgoing))
      else waiting.set(header.step, outgoing)
    })
  }

  /** Whether the peer still has to send something for that call, or to say that it is ready or done. */
  needs(sequence: number): boolean {
    const slot = this.#slots.known(sequence)
    return slot !== undefined && slot.posted.size + slot.waiting.size + slot.offered.size > 0
  }

  /** Whether this rank waits for the peer in that call. */
  isWaiting(sequence: number): boolean {
    return this.needs(sequence) || this.#outbox.isHolding(sequence)
  }

  /**
   * Tells the peer what this rank waits for it in. Ranks of which each waits for the other to begin would not see
   * otherwise that they called different things.
   */
  announce(sequence: number, descriptor: Descriptor): void {
    if (!this.#ended) this.#outbox.control('call', { sequence, descriptor })
  }

  // ---- the end

  /** Says goodbye after everything written; resolves when it has left. */
  async goodbye(lastSequence: number): Promise<void> {
    this.#end(new AdasumError('ERR_CLOSED', 'The communicator is closed. Connect again to go on.'))
    this.#writer.ref()
    const hasLeft = new Promise<void>((resolve) => this.#writer.write(goodbyeFrame(lastSequence), () => resolve()))
    this.#writer.end()
    await within(GOODBYE_MS, hasLeft)
    await within(LAST_WORDS_MS, this.#writer.closed)
    this.destroy()
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

  #rejectAll(cause: Error): void {
    this.#inbox.reject(cause)
    for (const [, slot] of this.#slots.all()) {
      for (const outgoing of slot.waiting.values()) outgoing.reject(cause)
      for (const offered of slot.offered.values()) this.#lender?.withdraw(offered, cause)
    }
    this.#slots.clear()
  }

  // ---- frames that come (FrameHandler)

  begin(header: FrameHeader): readonly Uint8Array[] {
    this.#heardAt = performance.now()
    return header.kind === 'data' ? this.#beginData(header) : this.#beginControl(header)
  }

  #beginControl(header: FrameHeader): readonly Uint8Array[] {
    this.#inbox.beginOther()
    const { kind } = header
    const limits: Partial<Record<typeof kind, number>> = { abort: ABORT_BYTE_LENGTH, offer: OFFER_BYTE_LENGTH }
    if (header.payloadByteLength > (limits[kind] ?? 0))
      throw violation(this, `a ${kind} frame with ${header.payloadByteLength} bytes of payload`)
    if (kind === 'ready' || kind === 'call' || kind === 'offer') this.#checkDescriptor(header)
    return header.payloadByteLength > 0 ? [Buffer.allocUnsafe(header.payloadByteLength)] : []
  }

  #beginData(header: FrameHeader): readonly Uint8Array[] {
    const { sequence, step } = header
    if (this.#checkDescriptor(header) === 'finished')
      throw violation(this, `data for collective #${sequence}, step ${step}, which is over`)
    return this.#inbox.begin(header)
  }

  progress(header: FrameHeader, byteLength: number): void {
    this.#heardAt = performance.now()
    this.#owner.progressed(header.sequence, this.peer)
    this.#inbox.progress(byteLength)
  }

  complete(header: FrameHeader, payload: readonly Uint8Array[]): void {
    switch (header.kind) {
      case 'data':
        return this.#completeData(header, payload)
      case 'ready':
        return this.#readyCame(header)
      case 'offer':
        return this.#offerCame(header, payload)
      case 'done':
        return this.#doneCame(header)
      case 'call':
        return
      case 'credit':
        return this.#outbox.credit(header.credit)
      case 'abort':
        return this.#owner.aborted(decodeCause(payload[0] ?? new Uint8Array(0), this.peer))
      case 'goodbye':
        this.#lastSequence = header.sequence
        return this.#owner.departed(this, header.sequence)
    }
  }

  #completeData(header: FrameHeader, parts: readonly Uint8Array[]): void {
    this.#owner.progressed(header.sequence, this.peer)
    this.#inbox.complete(header, parts)
  }

  #offerCame(header: FrameHeader, body: readonly Uint8Array[]): void {
    const { sequence, step } = header
    if (this.#owner.stateOf(sequence) === 'finished')
      throw violation(this, `an offer for collective #${sequence}, step ${step}, which is over`)
    this.#owner.progressed(sequence, this.peer)
    this.#inbox.offered(header, body)
  }

  #doneCame({ sequence, step }: FrameHeader): void {
    this.#owner.progressed(sequence, this.peer)
    const slot = this.#slots.known(sequence)
    const offered = slot?.offered.get(step)
    slot?.offered.delete(step)
    if (!offered || !this.#lender?.isSettled(offered))
      throw violation(this, `that it has read step ${step} of #${sequence}, which it has not`)
  }

  #settleFinished(): boolean {
    let isAny = false
    for (const [, { offered }] of this.#slots.all())
      for (const [step, message] of offered) if (this.#lender?.isSettled(message)) isAny = offered.delete(step)
    return isAny
  }

  #readyCame({ sequence, step }: FrameHeader): void {
    if (this.#owner.stateOf(sequence) === 'finished') return
    const slot = this.#slots.of(sequence)
    if (slot.ready.has(step)) throw violation(this, `step ${step} of #${sequence} announced twice`)
    slot.ready.add(step)
    if (++this.#readyCount > READY_LIMIT) throw violation(this, `more than ${READY_LIMIT} announcements`)
    // After a pause of this process the peer may have failed long ago. A write would then break the connection on which
    // it says why: what has come there is read first.
    setImmediate(() => {
      if (this.#ended) return
      const [outgoing, offered] = [slot.waiting.get(step), slot.offered.get(step)]
      slot.waiting.delete(step)
      slot.offered.delete(step)
      if (outgoing) this.#outbox.sendLarge(outgoing)
      if (offered) this.#lender!.refused(offered)
    })
  }

  failed(error: Error): void {
    if (!this.#ended) this.#owner.broken(this, error)
  }

  ended(insideFrame: boolean, error?: Error): void {
    // Why it could not be opened: there is nothing to wait for.
    if (error instanceof AdasumError) return this.failed(error)
    // Letting go of this end too tells the peer that its last words have arrived.
    if (this.#lastSequence !== undefined) return this.#reader.destroy()
    const where = insideFrame ? 'inside a frame' : 'without a goodbye'
    this.#unexplainedEnd(`its connection ended ${where}`, error)
  }

  #unexplainedEnd(reason: string, error?: Error): void {
    const isExplained = (): boolean => this.#ended || this.#lastSequence !== undefined
    const lost = (): void => {
      if (!isExplained()) this.#owner.lost(this, reason, error)
    }
    const lose = (): void => {
      // What the peer has read is with it, if it had no time to say so: calls that need no more of it may end.
      if (this.#settleFinished()) setImmediate(lost)
      else lost()
    }
    if (isExplained()) return
    if (this.#isHalfEnded) return lose()
    this.#isHalfEnded = true
    // What the peer wrote before it closed may still be on its way over a slow network.
    const wait = (): void => {
      const begin = performance.now()
      patientTimeout(() => (this.#heardAt > begin ? wait() : lose()), EXPLANATION_MS, false)
    }
    wait()
  }

  // ---- rules

  #checkDescriptor(header: FrameHeader): Descriptor | 'finished' | undefined {
    const state = this.#owner.stateOf(header.sequence)
    if (state === 'finished') return state
    const slot = this.#slots.of(header.sequence)
    if (state === undefined) slot.descriptor ??= header.descriptor
    else if (!sameDescriptor(state, header.descriptor))
      throw this.#owner.differs(this, header.sequence, state, header.descriptor)
    if (!slot.isHeard) {
      slot.isHeard = true
      this.#owner.heard(header.sequence)
    }
    return state
  }
}
