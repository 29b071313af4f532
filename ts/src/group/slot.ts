/** What a link knows of one collective: which memory waits for which message, and what came or waits before its time. */
import type { Descriptor, FrameHeader } from '../wire/frame.ts'
import type { Outgoing } from './outbox.ts'

/** Takes how many bytes of a message have come. */
export type Progress = (byteLength: number) => void

/** Memory of a call for one message. */
export interface Posted {
  readonly parts: readonly Uint8Array[]
  readonly byteLength: number
  /** Told how much of it is filled, as a large message comes. */
  readonly progress?: Progress | undefined
  readonly resolve: (rankFlags: number) => void
  readonly reject: (error: Error) => void
}

/** All of it by step. */
export class Slot {
  readonly posted: Map<number, Posted> = new Map()
  readonly early: Map<number, { header: FrameHeader; parts: readonly Uint8Array[] }> = new Map()
  readonly ready: Set<number> = new Set()
  readonly waiting: Map<number, Outgoing> = new Map()
  /** Whether anything has come for it: the peer has begun it. */
  isHeard = false
  /** The peer's descriptor, until this rank has begun the collective too. */
  descriptor: Descriptor | undefined
}
