/** What a link knows of one collective: which memory waits for which message, and what came or waits before its time. */
import type { Descriptor, FrameHeader } from '../wire/frame.ts'
import type { Offered } from './lender.ts'
import type { Outgoing } from './outgoing.ts'

/** Takes how many bytes of a message have come. */
export type Progress = (byteLength: number) => void

/** What a call is to get from a peer. */
export interface Want {
  readonly byteLength: number
  /** Memory for the message; asked for once, if it comes through the connection or has to be copied. */
  readonly memory: () => readonly Uint8Array[]
  /** Whether it may stay where the sender has it. */
  readonly borrows: boolean
  /** Told where the message lies, or will lie. */
  readonly located?: (parts: readonly Uint8Array[]) => void
  /** Told how much of it is filled, as a large message comes. */
  readonly progress?: Progress | undefined
}

/** A message that has come. */
export interface Received {
  /** The sender's. */
  readonly rankFlags: number
  readonly parts: readonly Uint8Array[]
  /**
   * To be called when everything has been read: the sender may then change it. Rejects, with the group's failure, if it may
   * have changed before: what was read counts for nothing.
   */
  readonly finish: () => Promise<void>
}

/** A message that a call waits for. */
export interface Posted {
  readonly want: Want
  readonly descriptor: Descriptor
  /** Its memory, once the peer may send it through the connection. */
  parts: readonly Uint8Array[] | undefined
  readonly resolve: (received: Received) => void
  readonly reject: (error: Error) => void
}

/** All of it by step. */
export class Slot {
  readonly posted: Map<number, Posted> = new Map()
  readonly early: Map<number, { header: FrameHeader; parts: readonly Uint8Array[] }> = new Map()
  readonly ready: Set<number> = new Set()
  readonly waiting: Map<number, Outgoing> = new Map()
  /** What the peer is to read in this rank's memory. */
  readonly offered: Map<number, Offered> = new Map()
  /** Whether anything has come for it: the peer has begun it. */
  isHeard = false
  /** The peer's descriptor, until this rank has begun the collective too. */
  descriptor: Descriptor | undefined
}

/** Of all collectives that a link knows something of. */
export class Slots {
  readonly #slots = new Map<number, Slot>()

  /** Made if there is none yet. */
  of(sequence: number): Slot {
    let slot = this.#slots.get(sequence)
    if (!slot) this.#slots.set(sequence, (slot = new Slot()))
    return slot
  }

  known(sequence: number): Slot | undefined {
    return this.#slots.get(sequence)
  }

  all(): Iterable<[sequence: number, slot: Slot]> {
    return this.#slots
  }

  delete(sequence: number): void {
    this.#slots.delete(sequence)
  }

  clear(): void {
    this.#slots.clear()
  }
}
