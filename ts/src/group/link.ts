/**
 * One peer of a group: the connection that this rank reads from, and the one that it writes to.
 *
 * Flow. A payload of up to 64 KiB is sent at once, against 1 MiB of credit, which the receiver gives back as its calls
 * consume what came (outbox.ts says how it is spent). A larger one waits until the receiver has posted its memory and said READY (inbox.ts). So a reader never stops
 * reading, what comes early is bounded, and calls awaited in different orders on different ranks cannot block each other.
 * Between ranks that share memory a larger one is offered instead, and read where it lies (lender.ts).
 *
 * The end. A peer that says goodbye has had everything from this rank that it asked for, and has written everything that it
 * had to: what is left to do for a call that it has been through is done (parting.ts says how the word comes). Calls fail
 * only if they cannot do without the peer.
 */
import { nextTurn, uninitializedBytes } from '#platform'
import { AdasumError } from '../errors.ts'
import { NOBODY } from '../transport/nobody.ts'
import { within } from '../timing/patience.ts'
import type { PendingPipe } from '../transport/pending.ts'
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
import { Outbox } from './outbox.ts'
import type { Outgoing } from './outgoing.ts'
import { LAST_WORDS_MS, abortFrame, sayGoodbye } from './last-words.ts'
import type { LinkOwner } from './link-owner.ts'
import { MOST_ANNOUNCED, isEager, isMessage, wrongRanks } from './numbering.ts'
import { rejectOutstanding, settleFinished, settleUnwanted } from './outstanding.ts'
import { Parting } from './parting.ts'
import type { Peer } from './peer.ts'
import { type Received, Slots, type Want } from './slot.ts'

export class Link implements Peer, FrameHandler {
  readonly peer: number
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
  #readyCount = 0
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
    this.#parting = new Parting({
      hasDialled: () => writer.isOpen,
      hasEnded: () => this.#ended,
      settleFinished: () => settleFinished(this.#slots, this.#lender),
      lost: (reason, error) => owner.lost(this, reason, error),
      unreachable: (error) => owner.unreachable(this, error),
    })
    reader.unref()
    writer.unref()
    reader.setSink(new FrameDecoder(this))
    writer.setSink(new FrameDecoder(this.#backChannel()))
  }

  /** On the connection that this rank writes to, a peer says nothing but that it leaves, or why it fails. */
  #backChannel(): FrameHandler {
    return {
      begin: (header) => {
        if (header.kind !== 'abort' && header.kind !== 'goodbye')
          throw violation(this, `a ${header.kind} frame on a connection that it only reads`)
        return this.#beginControl(header)
      },
      progress: () => undefined,
      complete: (header, payload) => this.complete(header, payload),
      failed: (error) => this.failed(error),
      ended: (_, error) => {
        // Letting go of this end too tells the peer that its last words have arrived.
        if (this.lastSequence !== undefined) this.#writer.destroy()
        else this.#parting.unexplained('its connection ended without a goodbye', error)
      },
    }
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
    this.#readyCount -= slot?.ready.size ?? 0
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

  #rejectAll(cause: Error): void {
    this.#inbox.reject(cause)
    rejectOutstanding(this.#slots, this.#lender, cause)
    this.#slots.clear()
  }

  // ---- frames that come (FrameHandler)

  begin(header: FrameHeader): readonly Uint8Array[] {
    this.#parting.heard()
    return header.kind === 'data' ? this.#beginData(header) : this.#beginControl(header)
  }

  #beginControl(header: FrameHeader): readonly Uint8Array[] {
    this.#inbox.beginOther()
    const { kind } = header
    const limits: Partial<Record<typeof kind, number>> = { abort: ABORT_BYTE_LENGTH, offer: OFFER_BYTE_LENGTH }
    if (header.payloadByteLength > (limits[kind] ?? 0))
      throw violation(this, `a ${kind} frame with ${header.payloadByteLength} bytes of payload`)
    if (kind === 'ready' || kind === 'call' || kind === 'offer') this.#checkDescriptor(header)
    return header.payloadByteLength > 0 ? [uninitializedBytes(header.payloadByteLength)] : []
  }

  #beginData(header: FrameHeader): readonly Uint8Array[] {
    const { sequence, step } = header
    if (this.#checkDescriptor(header) === 'finished')
      throw violation(this, `data for collective #${sequence}, step ${step}, which is over`)
    return this.#inbox.begin(header)
  }

  progress(header: FrameHeader, byteLength: number): void {
    this.#parting.heard()
    this.#owner.progressed(header.sequence, this.peer)
    this.#inbox.progress(byteLength)
  }

  complete(header: FrameHeader, payload: readonly Uint8Array[]): void {
    // What was under way when the goodbye came on the other connection has been taken as said.
    if (this.lastSequence !== undefined && header.kind !== 'abort') return
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
        return this.#owner.aborted(decodeCause(payload, { from: this.peer, size: this.#owner.size }))
      case 'goodbye':
        return this.#goodbyeCame(header.sequence)
    }
  }

  #goodbyeCame(lastSequence: number): void {
    if (this.lastSequence !== undefined) return
    this.#parting.lastSequence = lastSequence
    const isOverThere = (sequence: number): boolean => this.#parting.isOver(sequence)
    settleFinished(this.#slots, this.#lender)
    settleUnwanted(this.#slots, this.#lender, isOverThere)
    this.#outbox.departed(isOverThere)
    this.#owner.departed(this, lastSequence)
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

  #readyCame({ sequence, step }: FrameHeader): void {
    if (this.#owner.stateOf(sequence) === 'finished') return
    const slot = this.#slots.of(sequence)
    if (slot.ready.has(step)) throw violation(this, `step ${step} of #${sequence} announced twice`)
    slot.ready.add(step)
    if (++this.#readyCount > MOST_ANNOUNCED) throw violation(this, `more than ${MOST_ANNOUNCED} announcements`)
    // After a pause of this process the peer may have failed long ago. A write would then break the connection on which
    // it says why: what has come there is read first.
    void nextTurn().then(() => {
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
    // Letting go of this end too tells the peer that its last words have arrived.
    if (this.lastSequence !== undefined) return this.#reader.destroy()
    if (error instanceof AdasumError) return this.#parting.couldNotDial(error)
    const where = insideFrame ? 'inside a frame' : 'without a goodbye'
    this.#parting.unexplained(`its connection ended ${where}`, error)
  }

  // ---- rules

  #checkDescriptor(header: FrameHeader): Descriptor | 'finished' | undefined {
    const wrong = wrongRanks(header, this.peer, this.#owner)
    if (wrong !== undefined) throw violation(this, wrong)
    const state = this.#owner.stateOf(header.sequence)
    if (state === 'finished') return state
    const slot = this.#slots.of(header.sequence)
    if (state === undefined) slot.descriptor ??= header.descriptor
    else if (!sameDescriptor(state, header.descriptor))
      throw this.#owner.mismatchError(this, header.sequence, state, header.descriptor)
    if (!slot.isHeard) {
      slot.isHeard = true
      this.#owner.heard(header.sequence)
    }
    return state
  }
}
