/**
 * Sequence numbers. Collectives of a group are counted from 1. Messages between two ranks are counted for each ordered
 * pair, and have numbers of their own far above, since the other ranks know nothing of them.
 */
import { EAGER_BYTE_LENGTH, type FrameHeader } from '../wire/frame.ts'

const FIRST_MESSAGE = 2 ** 52

/** Collectives of a group, and messages of an ordered pair, that a rank may have under way: peers keep something of each. */
export const MOST_CALLS_UNDER_WAY: number = 1 << 16
/** What a peer may have said of calls that are not over here: it is ahead by no more calls than that, each of a few messages. */
export const MOST_ANNOUNCED: number = 16 * MOST_CALLS_UNDER_WAY

/** Which message a sequence number stands for. */
export interface MessageNumber {
  readonly from: number
  readonly to: number
  /** From 0. */
  readonly index: number
}

export function messageSequence({ from, to, index }: MessageNumber, size: number): number {
  return FIRST_MESSAGE + index * size * size + from * size + to
}

/** Undefined for a collective. */
export function messageOf(sequence: number, size: number): MessageNumber | undefined {
  if (!isMessage(sequence)) return undefined
  const [index, pair] = [Math.floor((sequence - FIRST_MESSAGE) / size ** 2), (sequence - FIRST_MESSAGE) % size ** 2]
  return { from: Math.floor(pair / size), to: pair % size, index }
}

export function isMessage(sequence: number): boolean {
  return sequence >= FIRST_MESSAGE
}

/**
 * Whether a payload is sent at once, against credit. Of messages none is: a rank may send any number of them before the
 * other asks for the first, and what it sends for collectives must not wait behind them.
 */
export function isEager(sequence: number, byteLength: number): boolean {
  return byteLength <= EAGER_BYTE_LENGTH && !isMessage(sequence)
}

/** What is wrong with the ranks that a peer's frame speaks of; undefined if nothing is. */
export function wrongRanks(
  { sequence, descriptor: { root } }: FrameHeader,
  peer: number,
  { rank, size }: { rank: number; size: number },
): string | undefined {
  if (root >= size) return `a call with root ${root}, where the ranks are 0 to ${size - 1}`
  const message = messageOf(sequence, size)
  const isBetween = (from: number, to: number): boolean => message?.from === from && message.to === to
  if (!message || isBetween(rank, peer) || isBetween(peer, rank)) return undefined
  return `a frame of a message from rank ${message.from} to rank ${message.to}`
}
