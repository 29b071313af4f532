/**
 * What a peer says: each frame that comes is held against the rules, and goes to the part of the link that it is for.
 *
 * A frame of a collective carries the sender's descriptor of it, so a call that differs between the two ranks is noticed by the
 * first frame, whatever that is. Frames for collectives that have not begun here are remembered (slot.ts), within limits.
 */
import { nextTurn, uninitializedBytes } from '#platform'
import { AdasumError } from '../errors.ts'
import type { Pipe } from '../transport/transport.ts'
import type { FrameHandler } from '../wire/decoder.ts'
import { ABORT_BYTE_LENGTH, type Descriptor, type FrameHeader, sameDescriptor } from '../wire/frame.ts'
import { OFFER_BYTE_LENGTH } from '../wire/offer.ts'
import { decodeCause } from './abort.ts'
import { violation } from './failure.ts'
import type { Inbox } from './inbox.ts'
import type { Lender } from './lender.ts'
import type { LinkOwner } from './link-owner.ts'
import { MOST_ANNOUNCED, wrongRanks } from './numbering.ts'
import type { Outbox } from './outbox.ts'
import { settleFinished, settleUnwanted } from './outstanding.ts'
import type { Parting } from './parting.ts'
import type { Peer } from './peer.ts'
import type { Slot, Slots } from './slot.ts'

/** The parts of a link that frames are for. */
export interface ReceivingParts {
  readonly reader: Pipe
  readonly writer: Pipe
  readonly slots: Slots
  readonly inbox: Inbox
  readonly outbox: Outbox
  readonly lender: Lender | undefined
  readonly parting: Parting
  /** Whether this rank has let go of the link. */
  readonly hasEnded: () => boolean
  /** What came cannot be used, or not be understood. */
  readonly failed: (error: Error) => void
}

/** Takes what comes on the connection that this rank reads. */
export class FrameReceiver implements FrameHandler {
  readonly #peer: Peer
  readonly #owner: LinkOwner
  readonly #reader: Pipe
  readonly #writer: Pipe
  readonly #slots: Slots
  readonly #inbox: Inbox
  readonly #outbox: Outbox
  readonly #lender: Lender | undefined
  readonly #parting: Parting
  readonly #hasEnded: () => boolean
  readonly #failed: (error: Error) => void
  /** Messages that the peer has asked for, in all collectives that are not over. */
  #readyCount = 0

  constructor(peer: Peer, owner: LinkOwner, parts: ReceivingParts) {
    this.#peer = peer
    this.#owner = owner
    this.#reader = parts.reader
    this.#writer = parts.writer
    this.#slots = parts.slots
    this.#inbox = parts.inbox
    this.#outbox = parts.outbox
    this.#lender = parts.lender
    this.#parting = parts.parting
    this.#hasEnded = parts.hasEnded
    this.#failed = parts.failed
  }

  /** Takes what comes on the one that it writes to, where a peer says nothing but that it leaves, or why it fails. */
  backChannel(): FrameHandler {
    return {
      begin: (header) => {
        if (header.kind !== 'abort' && header.kind !== 'goodbye')
          throw violation(this.#peer, `a ${header.kind} frame on a connection that it only reads`)
        return this.#beginControl(header)
      },
      progress: () => undefined,
      complete: (header, payload) => this.complete(header, payload),
      failed: (error) => this.failed(error),
      ended: (_, error) => {
        // Letting go of this end too tells the peer that its last words have arrived.
        if (this.#peer.lastSequence !== undefined) this.#writer.destroy()
        else this.#parting.unexplained('its connection ended without a goodbye', error)
      },
    }
  }

  /** This rank is done with a collective. */
  finished(slot: Slot | undefined): void {
    this.#readyCount -= slot?.ready.size ?? 0
  }

  begin(header: FrameHeader): readonly Uint8Array[] {
    this.#parting.heard()
    return header.kind === 'data' ? this.#beginData(header) : this.#beginControl(header)
  }

  #beginControl(header: FrameHeader): readonly Uint8Array[] {
    this.#inbox.beginOther()
    const { kind } = header
    const limits: Partial<Record<typeof kind, number>> = { abort: ABORT_BYTE_LENGTH, offer: OFFER_BYTE_LENGTH }
    if (header.payloadByteLength > (limits[kind] ?? 0))
      throw violation(this.#peer, `a ${kind} frame with ${header.payloadByteLength} bytes of payload`)
    if (kind === 'ready' || kind === 'call' || kind === 'offer') this.#checkDescriptor(header)
    return header.payloadByteLength > 0 ? [uninitializedBytes(header.payloadByteLength)] : []
  }

  #beginData(header: FrameHeader): readonly Uint8Array[] {
    const { sequence, step } = header
    if (this.#checkDescriptor(header) === 'finished')
      throw violation(this.#peer, `data for collective #${sequence}, step ${step}, which is over`)
    return this.#inbox.begin(header)
  }

  progress(header: FrameHeader, byteLength: number): void {
    this.#parting.heard()
    this.#owner.progressed(header.sequence, this.#peer.peer)
    this.#inbox.progress(byteLength)
  }

  complete(header: FrameHeader, payload: readonly Uint8Array[]): void {
    // What was under way when the goodbye came on the other connection has been taken as said.
    if (this.#peer.lastSequence !== undefined && header.kind !== 'abort') return
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
        return this.#owner.aborted(decodeCause(payload, { from: this.#peer.peer, size: this.#owner.size }))
      case 'goodbye':
        return this.#goodbyeCame(header.sequence)
    }
  }

  #goodbyeCame(lastSequence: number): void {
    if (this.#peer.lastSequence !== undefined) return
    this.#parting.lastSequence = lastSequence
    const isOverThere = (sequence: number): boolean => this.#parting.isOver(sequence)
    settleFinished(this.#slots, this.#lender)
    settleUnwanted(this.#slots, this.#lender, isOverThere)
    this.#outbox.departed(isOverThere)
    this.#owner.departed(this.#peer, lastSequence)
  }

  #completeData(header: FrameHeader, parts: readonly Uint8Array[]): void {
    this.#owner.progressed(header.sequence, this.#peer.peer)
    this.#inbox.complete(header, parts)
  }

  #offerCame(header: FrameHeader, body: readonly Uint8Array[]): void {
    const { sequence, step } = header
    if (this.#owner.stateOf(sequence) === 'finished')
      throw violation(this.#peer, `an offer for collective #${sequence}, step ${step}, which is over`)
    this.#owner.progressed(sequence, this.#peer.peer)
    this.#inbox.offered(header, body)
  }

  #doneCame({ sequence, step }: FrameHeader): void {
    this.#owner.progressed(sequence, this.#peer.peer)
    const slot = this.#slots.known(sequence)
    const offered = slot?.offered.get(step)
    slot?.offered.delete(step)
    if (!offered || !this.#lender?.isSettled(offered))
      throw violation(this.#peer, `that it has read step ${step} of #${sequence}, which it has not`)
  }

  #readyCame({ sequence, step }: FrameHeader): void {
    if (this.#owner.stateOf(sequence) === 'finished') return
    const slot = this.#slots.of(sequence)
    if (slot.ready.has(step)) throw violation(this.#peer, `step ${step} of #${sequence} announced twice`)
    slot.ready.add(step)
    if (++this.#readyCount > MOST_ANNOUNCED) throw violation(this.#peer, `more than ${MOST_ANNOUNCED} announcements`)
    // After a pause of this process the peer may have failed long ago. A write would then break the connection on which
    // it says why: what has come there is read first.
    void nextTurn().then(() => {
      if (this.#hasEnded()) return
      const [outgoing, offered] = [slot.waiting.get(step), slot.offered.get(step)]
      slot.waiting.delete(step)
      slot.offered.delete(step)
      if (outgoing) this.#outbox.sendLarge(outgoing)
      if (offered) this.#lender!.refused(offered)
    })
  }

  failed(error: Error): void {
    this.#failed(error)
  }

  ended(insideFrame: boolean, error?: Error): void {
    // Letting go of this end too tells the peer that its last words have arrived.
    if (this.#peer.lastSequence !== undefined) return this.#reader.destroy()
    if (error instanceof AdasumError) return this.#parting.couldNotDial(error)
    const where = insideFrame ? 'inside a frame' : 'without a goodbye'
    this.#parting.unexplained(`its connection ended ${where}`, error)
  }

  // ---- rules

  #checkDescriptor(header: FrameHeader): Descriptor | 'finished' | undefined {
    const wrong = wrongRanks(header, this.#peer.peer, this.#owner)
    if (wrong !== undefined) throw violation(this.#peer, wrong)
    const state = this.#owner.stateOf(header.sequence)
    if (state === 'finished') return state
    const slot = this.#slots.of(header.sequence)
    if (state === undefined) slot.descriptor ??= header.descriptor
    else if (!sameDescriptor(state, header.descriptor))
      throw this.#owner.mismatchError(this.#peer, header.sequence, state, header.descriptor)
    if (!slot.isHeard) {
      slot.isHeard = true
      this.#owner.heard(header.sequence)
    }
    return state
  }
}
