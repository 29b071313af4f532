/**
 * One peer of a group: the connection that this rank reads from, and the one that it writes to.
 *
 * Flow. A payload of up to 64 KiB is sent at once, against 1 MiB of credit, which the receiver gives back as its calls
 * consume what came. A larger one waits until the receiver has posted its memory and said READY. So a reader never stops
 * reading, what comes early is bounded, and calls awaited in different orders on different ranks cannot block each other.
 *
 * Loss. Only the connection that is read tells that a peer is gone: what was sent on it before the end, an ABORT or a
 * GOODBYE, has arrived by then. If only the written one breaks, the peer may just be closing: it is given a moment.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { AdasumError } from '../errors.ts'
import type { Pipe } from '../transport/transport.ts'
import { type FrameHandler, FrameDecoder } from '../wire/decoder.ts'
import {
  ABORT_BYTE_LENGTH,
  CREDIT_BYTE_LENGTH,
  type Descriptor,
  EAGER_BYTE_LENGTH,
  type FrameHeader,
  HEADER_BYTE_LENGTH,
  sameDescriptor,
} from '../wire/frame.ts'
import { decodeCause, encodeCause } from './abort.ts'
import { type Outgoing, Outbox } from './outbox.ts'
import { copyParts, totalByteLength } from './parts.ts'

/** How long a failing group waits for its last words to leave. */
const LAST_WORDS_MS = 250
/** How long a broken written connection may stay without an explanation on the read one. */
const EXPLANATION_MS = 1000

/** What a link asks of its group. */
export interface LinkOwner {
  /** The descriptor of a collective under way here, `finished`, or undefined if it has not begun. */
  stateOf(sequence: number): Descriptor | 'finished' | undefined
  differs(link: Link, sequence: number, mine: Descriptor, theirs: Descriptor): AdasumError
  /** A byte of that collective has gone or come. */
  progressed(sequence: number): void
  aborted(cause: AdasumError): void
  lost(link: Link, reason: string, cause?: Error): void
  /** The peer has closed after its collective `lastSequence`. */
  departed(link: Link, lastSequence: number): void
  broken(link: Link, error: Error): void
}

interface Posted {
  readonly parts: readonly Uint8Array[]
  readonly byteLength: number
  resolve(rankFlags: number): void
  reject(error: Error): void
}

/** What is known of one collective on this link, by step. */
class Slot {
  readonly posted = new Map<number, Posted>()
  readonly early = new Map<number, { header: FrameHeader; parts: readonly Uint8Array[] }>()
  readonly ready = new Set<number>()
  readonly waiting = new Map<number, Outgoing>()
  /** The peer's descriptor, until this rank has begun the collective too. */
  descriptor: Descriptor | undefined
}

export class Link implements FrameHandler {
  readonly peer: number
  readonly address: string
  readonly #owner: LinkOwner
  readonly #reader: Pipe
  readonly #writer: Pipe
  readonly #slots = new Map<number, Slot>()
  readonly #outbox: Outbox
  #consumedUnreported = 0
  #earlyByteLength = 0
  #filling: Posted | undefined
  #lastSequence: number | undefined
  #ended = false
  #cause: Error | undefined

  constructor(peer: number, reader: Pipe, writer: Pipe, owner: LinkOwner) {
    this.peer = peer
    this.address = reader.remoteAddress
    this.#owner = owner
    this.#reader = reader
    this.#writer = writer
    this.#outbox = new Outbox(writer, (sequence) => owner.progressed(sequence))
    reader.unref()
    writer.unref()
    reader.setSink(new FrameDecoder(this))
    const ignored = Buffer.alloc(HEADER_BYTE_LENGTH)
    const writerEnded = (error?: Error): void => this.#writerEnded(error)
    writer.setSink({
      target: () => ignored,
      filled: () => this.failed(new Error('bytes on a connection that only reads')),
      ended: writerEnded,
    })
  }

  /** The peer's last collective, once it has said goodbye. */
  get lastSequence(): number | undefined {
    return this.#lastSequence
  }

  /** Settles when neither connection uses memory of a call any more. */
  get closed(): Promise<unknown> {
    return Promise.all([this.#reader.closed, this.#writer.closed])
  }

  // ---- calls of this rank

  /** This rank has begun a collective: what the peer said of it earlier must agree. */
  begun(sequence: number, descriptor: Descriptor): void {
    const theirs = this.#slots.get(sequence)?.descriptor
    if (theirs && !sameDescriptor(descriptor, theirs)) throw this.#owner.differs(this, sequence, descriptor, theirs)
  }

  /** This rank is done with a collective. Returns false if the peer sent more for it than was asked for. */
  finished(sequence: number): boolean {
    const slot = this.#slots.get(sequence)
    this.#slots.delete(sequence)
    return (slot?.early.size ?? 0) === 0
  }

  /** Ranks' memory for one step; resolves with the sender's rank flags once it is filled. */
  receive(sequence: number, step: number, descriptor: Descriptor, parts: readonly Uint8Array[]): Promise<number> {
    if (this.#ended) return Promise.reject(this.#cause!)
    const byteLength = totalByteLength(parts)
    return new Promise((resolve, reject) => {
      const posted: Posted = { parts, byteLength, resolve, reject }
      const slot = this.#slot(sequence)
      const early = slot.early.get(step)
      if (early) {
        slot.early.delete(step)
        this.#earlyByteLength -= HEADER_BYTE_LENGTH + early.header.payloadByteLength
        this.#checkLength(early.header, posted)
        copyParts(early.parts, parts)
        this.#consumed(early.header)
        resolve(early.header.rankFlags)
        return
      }
      slot.posted.set(step, posted)
      if (byteLength > EAGER_BYTE_LENGTH) this.#outbox.control('ready', { sequence, step, descriptor })
    })
  }

  /** Resolves when the memory may be changed again. */
  send(header: FrameHeader, parts: readonly Uint8Array[]): Promise<void> {
    if (this.#ended) return Promise.reject(this.#cause!)
    return new Promise((resolve, reject) => {
      const outgoing: Outgoing = { header, parts, resolve, reject }
      if (header.payloadByteLength <= EAGER_BYTE_LENGTH) this.#outbox.sendEager(outgoing)
      else if (this.#slot(header.sequence).ready.has(header.step)) this.#outbox.sendLarge(outgoing)
      else this.#slot(header.sequence).waiting.set(header.step, outgoing)
    })
  }

  /** Whether this rank waits for the peer in that collective. */
  isWaiting(sequence: number): boolean {
    const slot = this.#slots.get(sequence)
    return (slot?.posted.size ?? 0) > 0 || (slot?.waiting.size ?? 0) > 0 || this.#outbox.isHolding(sequence)
  }

  // ---- the end

  /** Says goodbye after everything written; resolves when it has left. */
  async goodbye(lastSequence: number): Promise<void> {
    this.#end(new AdasumError('ERR_CLOSED', 'The communicator is closed. Connect again to go on.'))
    this.#writer.ref()
    this.#outbox.control('goodbye', { sequence: lastSequence })
    this.#writer.end()
    await within(LAST_WORDS_MS, this.#writer.closed)
    this.destroy()
  }

  /** Drops everything queued, tells the peer why if there is time, and lets go of all memory. */
  abort(cause: AdasumError): void {
    if (this.#ended) return
    this.#end(cause)
    this.#rejectAll(cause)
    this.#reader.destroy()
    this.#outbox.control('abort', { sequence: cause.sequence ?? 0 }, encodeCause(cause))
    this.#writer.end()
    void within(LAST_WORDS_MS, this.#writer.closed).then(() => this.#writer.destroy())
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
    for (const slot of this.#slots.values()) {
      for (const posted of slot.posted.values()) posted.reject(cause)
      for (const outgoing of slot.waiting.values()) outgoing.reject(cause)
    }
    this.#outbox.rejectAll(cause)
    this.#filling?.reject(cause)
    this.#slots.clear()
  }

  // ---- frames that come (FrameHandler)

  begin(header: FrameHeader): readonly Uint8Array[] {
    this.#filling = undefined
    if (header.kind === 'data') return this.#beginData(header)
    if (header.payloadByteLength > (header.kind === 'abort' ? ABORT_BYTE_LENGTH : 0))
      throw this.#violation(`a ${header.kind} frame with ${header.payloadByteLength} bytes of payload`)
    if (header.kind === 'ready') this.#checkDescriptor(header)
    return header.payloadByteLength > 0 ? [Buffer.allocUnsafe(header.payloadByteLength)] : []
  }

  #beginData(header: FrameHeader): readonly Uint8Array[] {
    const { sequence, step, payloadByteLength } = header
    if (this.#checkDescriptor(header) === 'finished')
      throw this.#violation(`data for collective #${sequence}, step ${step}, which is over`)
    const posted = this.#slot(sequence).posted.get(step)
    if (posted) {
      this.#checkLength(header, posted)
      this.#filling = posted
      return posted.parts
    }
    this.#earlyByteLength += HEADER_BYTE_LENGTH + payloadByteLength
    if (payloadByteLength > EAGER_BYTE_LENGTH || this.#earlyByteLength > CREDIT_BYTE_LENGTH)
      throw this.#violation(`${payloadByteLength} bytes for collective #${sequence}, step ${step}, unasked`)
    return payloadByteLength > 0 ? [Buffer.allocUnsafe(payloadByteLength)] : []
  }

  progress(header: FrameHeader): void {
    this.#owner.progressed(header.sequence)
  }

  complete(header: FrameHeader, payload: readonly Uint8Array[]): void {
    switch (header.kind) {
      case 'data':
        return this.#completeData(header, payload)
      case 'ready':
        return this.#readyCame(header)
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
    const slot = this.#slot(header.sequence)
    this.#owner.progressed(header.sequence)
    if (!this.#filling) {
      if (slot.early.has(header.step)) throw this.#violation(`step ${header.step} of #${header.sequence} twice`)
      slot.early.set(header.step, { header, parts })
      // It may have been posted while its payload was on the way.
      const posted = slot.posted.get(header.step)
      if (posted) {
        slot.posted.delete(header.step)
        void this.receive(header.sequence, header.step, header.descriptor, posted.parts).then(
          posted.resolve,
          posted.reject,
        )
      }
      return
    }
    const posted = this.#filling
    this.#filling = undefined
    slot.posted.delete(header.step)
    this.#consumed(header)
    posted.resolve(header.rankFlags)
  }

  #readyCame({ sequence, step }: FrameHeader): void {
    if (this.#owner.stateOf(sequence) === 'finished') return
    const slot = this.#slot(sequence)
    const outgoing = slot.waiting.get(step)
    slot.waiting.delete(step)
    slot.ready.add(step)
    if (outgoing) this.#outbox.sendLarge(outgoing)
  }

  failed(error: Error): void {
    if (!this.#ended) this.#owner.broken(this, error)
  }

  ended(insideFrame: boolean, error?: Error): void {
    // Letting go of this end too tells the peer that its last words have arrived.
    if (this.#lastSequence !== undefined && !insideFrame) return this.#reader.destroy()
    if (this.#ended) return
    this.#owner.lost(
      this,
      insideFrame ? 'its connection ended inside a frame' : 'its connection ended without a goodbye',
      error,
    )
  }

  #writerEnded(error?: Error): void {
    if (this.#ended || this.#lastSequence !== undefined) return
    const timer = setTimeout(() => {
      if (!this.#ended && this.#lastSequence === undefined) this.#owner.lost(this, 'it stopped reading', error)
    }, EXPLANATION_MS)
    timer.unref()
  }

  // ---- rules

  #checkDescriptor(header: FrameHeader): Descriptor | 'finished' | undefined {
    const state = this.#owner.stateOf(header.sequence)
    if (state === undefined) this.#slot(header.sequence).descriptor ??= header.descriptor
    else if (state !== 'finished' && !sameDescriptor(state, header.descriptor))
      throw this.#owner.differs(this, header.sequence, state, header.descriptor)
    return state
  }

  #checkLength(header: FrameHeader, posted: Posted): void {
    if (header.payloadByteLength !== posted.byteLength)
      throw this.#violation(
        `${header.payloadByteLength} bytes for collective #${header.sequence}, step ${header.step}, where ${posted.byteLength} belong`,
      )
  }

  #violation(what: string): AdasumError {
    return new AdasumError(
      'ERR_MISMATCH',
      `Rank ${this.peer} (${this.address}) sent ${what}. Run the same version of adasum on every rank.`,
      { peerRank: this.peer, peerAddress: this.address },
    )
  }

  #consumed(header: FrameHeader): void {
    if (header.payloadByteLength > EAGER_BYTE_LENGTH) return
    this.#consumedUnreported += HEADER_BYTE_LENGTH + header.payloadByteLength
    // Half the credit stays usable meanwhile, so the sender never waits for a report that is not due.
    if (this.#consumedUnreported < CREDIT_BYTE_LENGTH / 2) return
    this.#outbox.control('credit', { credit: this.#consumedUnreported })
    this.#consumedUnreported = 0
  }

  #slot(sequence: number): Slot {
    let slot = this.#slots.get(sequence)
    if (!slot) this.#slots.set(sequence, (slot = new Slot()))
    return slot
  }
}

/** Waits for a promise, but not longer; if the event loop was held up, what has long been there comes first. */
async function within(timeMs: number, promise: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(() => void nextTurn().then(() => nextTurn().then(() => resolve())), timeMs)
  })
  await Promise.race([promise, late])
  clearTimeout(timer)
}
