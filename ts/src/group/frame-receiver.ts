/**
 * Takes the frames that a peer sends: checks each against the protocol, and hands it to the part of the link that it is
 * for.
 *
 * A frame of a collective carries the sender's descriptor of it. So the first frame shows, whatever its kind, that the
 * two ranks have called different things. Frames for collectives that have not begun here are kept (slot.ts), within
 * limits.
 */
import { nextTurn, uninitializedBytes } from '#platform'
import { AdasumError } from '../errors.ts'
import type { Pipe } from '../transport/transport.ts'
import type { FrameHandler } from '../wire/decoder.ts'
import { ABORT_BYTE_LENGTH, type Descriptor, type FrameHeader, sameDescriptor } from '../wire/frame.ts'
import { OFFER_BYTE_LENGTH } from '../wire/offer.ts'
import { decodeCause } from './abort.ts'
import { isWeighted } from './descriptor.ts'
import { violationError } from './failure.ts'
import type { Inbox } from './inbox.ts'
import type { Lender } from './lender.ts'
import type { LinkOwner } from './link-owner.ts'
import { MOST_ANNOUNCED, wrongRanks } from './numbering.ts'
import type { Outbox } from './outbox.ts'
import { settleRead, settleUnwanted } from './outstanding.ts'
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
  /** A frame is invalid, or its payload cannot be used. */
  readonly onError: (error: Error) => void
}

/** Takes the frames on the connection that this rank reads. */
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
  readonly onError: (error: Error) => void
  /** How many messages the peer has asked for, in all collectives that are not over. */
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
    this.onError = parts.onError
  }

  /** Takes the frames on the connection that this rank writes to: a peer sends only GOODBYE and ABORT there. */
  backChannel(): FrameHandler {
    return {
      begin: (header) => {
        if (header.kind !== 'abort' && header.kind !== 'goodbye')
          throw violationError(this.#peer, `a ${header.kind} frame on a connection that it only reads`)
        return this.#beginControl(header)
      },
      onProgress: () => undefined,
      onComplete: (header, payload) => this.onComplete(header, payload),
      onError: (error) => this.onError(error),
      onEnd: (_, error) => {
        // Letting go of this end too tells the peer that its last words have arrived.
        if (this.#peer.lastSequence !== undefined) this.#writer.destroy()
        else this.#parting.onUnexplainedEnd('its connection ended without a goodbye', error)
      },
    }
  }

  /** This rank is done with a collective. */
  finishCall(slot: Slot | undefined): void {
    this.#readyCount -= slot?.ready.size ?? 0
  }

  begin(header: FrameHeader): readonly Uint8Array[] {
    this.#hear()
    return header.kind === 'data' ? this.#beginData(header) : this.#beginControl(header)
  }

  #hear(): void {
    this.#parting.onHeard()
    this.#owner.hear(this.#peer.peer)
  }

  #beginControl(header: FrameHeader): readonly Uint8Array[] {
    this.#inbox.beginControl()
    const { kind } = header
    const limits: Partial<Record<typeof kind, number>> = { abort: ABORT_BYTE_LENGTH, offer: OFFER_BYTE_LENGTH }
    if (header.payloadByteLength > (limits[kind] ?? 0))
      throw violationError(this.#peer, `a ${kind} frame with ${header.payloadByteLength} bytes of payload`)
    if (kind === 'ready' || kind === 'call' || kind === 'offer') this.#checkDescriptor(header)
    return header.payloadByteLength > 0 ? [uninitializedBytes(header.payloadByteLength)] : []
  }

  #beginData(header: FrameHeader): readonly Uint8Array[] {
    const { sequence, step } = header
    if (this.#checkDescriptor(header) === 'finished')
      throw violationError(this.#peer, `data for collective #${sequence}, step ${step}, which is over`)
    return this.#inbox.begin(header)
  }

  onProgress(header: FrameHeader, byteLength: number): void {
    this.#hear()
    this.#owner.onProgress(header.sequence, this.#peer.peer)
    this.#inbox.progress(byteLength)
  }

  onComplete(header: FrameHeader, payload: readonly Uint8Array[]): void {
    // When the goodbye came, on the other connection, everything before it was treated as received.
    if (this.#peer.lastSequence !== undefined && header.kind !== 'abort') return
    switch (header.kind) {
      case 'data':
        return this.#onData(header, payload)
      case 'ready':
        return this.#onReady(header)
      case 'offer':
        return this.#onOffer(header, payload)
      case 'done':
        return this.#onDone(header)
      case 'call':
        return
      case 'credit':
        return this.#outbox.addCredit(header.credit)
      case 'abort':
        return this.#owner.onAbort(decodeCause(payload, { from: this.#peer.peer, size: this.#owner.size }))
      case 'join':
        return this.#owner.joins.onFrame(this.#peer, header.sequence)
      case 'goodbye':
        return this.#onGoodbye(header.sequence)
    }
  }

  #onGoodbye(lastSequence: number): void {
    if (this.#peer.lastSequence !== undefined) return
    this.#parting.lastSequence = lastSequence
    const isOverThere = (sequence: number): boolean => this.#parting.isOver(sequence)
    settleRead(this.#slots, this.#lender)
    settleUnwanted(this.#slots, this.#lender, isOverThere)
    this.#outbox.onPeerDeparture(isOverThere)
    this.#owner.onPeerDeparture(this.#peer, lastSequence)
  }

  #onData(header: FrameHeader, parts: readonly Uint8Array[]): void {
    this.#owner.onProgress(header.sequence, this.#peer.peer)
    this.#inbox.complete(header, parts)
  }

  #onOffer(header: FrameHeader, body: readonly Uint8Array[]): void {
    const { sequence, step } = header
    if (this.#owner.stateOf(sequence) === 'finished')
      throw violationError(this.#peer, `an offer for collective #${sequence}, step ${step}, which is over`)
    this.#owner.onProgress(sequence, this.#peer.peer)
    this.#inbox.onOffer(header, body)
  }

  #onDone({ sequence, step }: FrameHeader): void {
    this.#owner.onProgress(sequence, this.#peer.peer)
    const slot = this.#slots.get(sequence)
    const offered = slot?.offered.get(step)
    slot?.offered.delete(step)
    if (!offered || !this.#lender?.settleIfRead(offered))
      throw violationError(this.#peer, `that it has read step ${step} of #${sequence}, which it has not`)
  }

  #onReady({ sequence, step }: FrameHeader): void {
    if (this.#owner.stateOf(sequence) === 'finished') return
    const slot = this.#slots.getOrCreate(sequence)
    if (slot.ready.has(step)) throw violationError(this.#peer, `step ${step} of #${sequence} announced twice`)
    slot.ready.add(step)
    if (++this.#readyCount > MOST_ANNOUNCED)
      throw violationError(this.#peer, `more than ${MOST_ANNOUNCED} announcements`)
    // After a pause of this process the peer may have failed long ago. A write would then break the connection on which
    // it says why, so that one is read first.
    void nextTurn().then(() => {
      if (this.#hasEnded()) return
      const [outgoing, offered] = [slot.waiting.get(step), slot.offered.get(step)]
      slot.waiting.delete(step)
      slot.offered.delete(step)
      if (outgoing) this.#outbox.sendLarge(outgoing)
      if (offered) this.#lender!.onRefusal(offered)
    })
  }

  onEnd(insideFrame: boolean, error?: Error): void {
    // Letting go of this end too tells the peer that its last words have arrived.
    if (this.#peer.lastSequence !== undefined) return this.#reader.destroy()
    if (error instanceof AdasumError) return this.#parting.onDialError(error)
    const where = insideFrame ? 'inside a frame' : 'without a goodbye'
    this.#parting.onUnexplainedEnd(`its connection ended ${where}`, error)
  }

  // ---- rules

  #checkDescriptor(header: FrameHeader): Descriptor | 'finished' | undefined {
    const wrong = wrongRanks(header, this.#peer.peer, this.#owner)
    if (wrong !== undefined) throw violationError(this.#peer, wrong)
    if (header.weight > 0 && !isWeighted(header.descriptor))
      throw violationError(this.#peer, `a weight of ${header.weight} in a call without weights`)
    const state = this.#owner.stateOf(header.sequence)
    if (state === 'finished') return state
    const slot = this.#slots.getOrCreate(header.sequence)
    if (state === undefined) slot.descriptor ??= header.descriptor
    else if (!sameDescriptor(state, header.descriptor))
      throw this.#owner.mismatchError(this.#peer, header.sequence, state, header.descriptor)
    if (!slot.hasHeard) {
      slot.hasHeard = true
      this.#owner.onHeard(header.sequence, this.#peer)
    }
    return state
  }
}
