/**
 * Sequence numbers. Collectives of a group are counted from 1. Messages between two ranks are counted for each ordered
 * pair, and have numbers of their own far above, since the other ranks know nothing of them. So have the joins of a
 * rank, because a rank that joins cannot know yet which collective will be the last before all have joined.
 */
import { EAGER_BYTE_LENGTH, type FrameHeader } from '../wire/frame.ts'
import { hasOp } from './descriptor.ts'

const FIRST_JOIN = 2 ** 51
const FIRST_MESSAGE = 2 ** 52

/**
 * How many collectives of a group, and messages of an ordered pair, a rank may have under way: peers keep something for
 * each.
 */
export const MOST_CALLS_UNDER_WAY: number = 1 << 16
/**
 * How many READY and OFFER frames of a peer are kept for calls that are not over here. The peer is ahead by at most
 * MOST_CALLS_UNDER_WAY calls, each of a few messages.
 */
export const MOST_ANNOUNCED: number = 16 * MOST_CALLS_UNDER_WAY

/** Which message a sequence number stands for. */
export interface MessageNumber {
  readonly from: number
  readonly to: number
  /** The number of the message among those of its pair, from 0. */
  readonly index: number
}

export function messageSequence({ from, to, index }: MessageNumber, size: number): number {
  return FIRST_MESSAGE + index * size * size + from * size + to
}

/** The message that a sequence number stands for; undefined for a collective. */
export function messageOf(sequence: number, size: number): MessageNumber | undefined {
  if (!isMessage(sequence)) return undefined
  const [index, pair] = [Math.floor((sequence - FIRST_MESSAGE) / size ** 2), (sequence - FIRST_MESSAGE) % size ** 2]
  return { from: Math.floor(pair / size), to: pair % size, index }
}

export function isMessage(sequence: number): boolean {
  return sequence >= FIRST_MESSAGE
}

/** @param index - how many joins of the group this rank has begun before */
export function joinSequence(index: number): number {
  return FIRST_JOIN + index
}

export function isJoin(sequence: number): boolean {
  return sequence >= FIRST_JOIN && !isMessage(sequence)
}

export function isCollective(sequence: number): boolean {
  return sequence < FIRST_JOIN
}

/** The number of a collective as errors show it: joins are counted from 1, too. */
export function shownNumber(sequence: number): number {
  return isJoin(sequence) ? sequence - FIRST_JOIN + 1 : sequence
}

/**
 * Whether a payload is sent at once, against credit. A message never is: a rank may send any number of them before the
 * other rank receives the first one, and frames of collectives must not wait behind them.
 */
export function isEager(sequence: number, byteLength: number): boolean {
  return byteLength <= EAGER_BYTE_LENGTH && !isMessage(sequence)
}

/** What is wrong with the ranks that a peer's frame names, in words; undefined if nothing is. */
export function wrongRanks(
  { sequence, descriptor }: FrameHeader,
  peer: number,
  { rank, size }: { rank: number; size: number },
): string | undefined {
  const { root } = descriptor
  // Reductions have a parameter there.
  if (root >= size && !hasOp(descriptor)) return `a call with root ${root}, where the ranks are 0 to ${size - 1}`
  const message = messageOf(sequence, size)
  const isBetween = (from: number, to: number): boolean => message?.from === from && message.to === to
  if (!message || isBetween(rank, peer) || isBetween(peer, rank)) return undefined
  return `a frame of a message from rank ${message.from} to rank ${message.to}`
}
