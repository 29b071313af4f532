/**
 * Sequence numbers. Collectives of a group are counted from 1. Messages between two ranks are counted for each ordered
 * pair, and have numbers of their own far above, since the other ranks know nothing of them.
 */
import { EAGER_BYTE_LENGTH } from '../wire/frame.ts'

const FIRST_MESSAGE = 2 ** 52

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
