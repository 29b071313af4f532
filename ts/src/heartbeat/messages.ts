/**
 * What two heartbeats say to each other once they have authenticated: messages of 9 bytes, big-endian.
 *
 *     u8 kind, u32 rank, u32 seen by
 *
 * A beat (1) says only that its sender is alive; the rest of it is zero. A loss (2) says that `rank` counts as lost,
 * and by which rank that was seen first.
 */
import { viewOf } from '../bytes.ts'

export const MESSAGE_BYTE_LENGTH = 9

const BEAT_KIND = 1
const LOSS_KIND = 2

/** A rank that counts as lost. Ranks are those of the world. */
export interface Loss {
  readonly rank: number
  /** Who has seen it first. */
  readonly seenBy: number
}

export const BEAT: Uint8Array = encode(BEAT_KIND)

export function encodeLoss({ rank, seenBy }: Loss): Uint8Array {
  return encode(LOSS_KIND, rank, seenBy)
}

function encode(kind: number, rank = 0, seenBy = 0): Uint8Array {
  const bytes = new Uint8Array(MESSAGE_BYTE_LENGTH)
  const view = viewOf(bytes)
  view.setUint8(0, kind)
  view.setUint32(1, rank)
  view.setUint32(5, seenBy)
  return bytes
}

/** `beat`, a loss, or undefined if a rank of a world of that size says neither. */
export function decodeMessage(bytes: Uint8Array, size: number): 'beat' | Loss | undefined {
  const view = viewOf(bytes)
  const [kind, rank, seenBy] = [view.getUint8(0), view.getUint32(1), view.getUint32(5)]
  if (kind === BEAT_KIND) return 'beat'
  return kind === LOSS_KIND && rank < size && seenBy < size ? { rank, seenBy } : undefined
}
