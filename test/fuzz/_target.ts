/**
 * What is fuzzed: a parser of bytes or text that come from outside, and how it must treat them.
 *
 * A target takes an input whole. Where a format has a checksum, mutations would never get behind it, so the first bytes of an
 * input are choices of the target's own, and one of them says whether checksums are put right first.
 */
import type { Sink } from '../../ts/src/transport/transport.ts'
import { AdasumError, ERROR_CODES, reasonOf } from '../../ts/src/errors.ts'

export interface Target {
  /** A word, also the name of its corpus. */
  readonly name: string
  /** How many inputs of a run it gets beside the others: few where one takes long. */
  readonly share: number
  /** Bytes of the longest input. */
  readonly largest: number
  /** Inputs as they come in practice, all of which are accepted. Mutations begin with them. */
  readonly seeds: () => readonly Uint8Array[] | Promise<readonly Uint8Array[]>
  /** Words that mutations put in. */
  readonly words?: readonly string[]
  /**
   * Parses an input, and checks what came of it.
   *
   * @returns whether the parser has accepted it
   * @throws Fault, or what a parser must not throw
   */
  readonly run: (input: Uint8Array) => boolean | Promise<boolean>
}

/** What a parser must not do. */
export class Fault extends Error {}

export function ensure(isRight: boolean, what: string | (() => string)): asserts isRight {
  if (!isRight) throw new Fault(typeof what === 'string' ? what : what())
}

/** What moves a cursor, begins a line or turns the direction of writing, in a message that repeats foreign text. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u
const LONGEST_MESSAGE = 4000

/**
 * A refusal is an AdasumError with a code of docs/errors.md, or an error that the parser documents.
 *
 * @returns false: the input was not accepted
 * @throws Fault for any other error
 */
export function refusal(error: unknown, isDocumented: (error: unknown) => boolean = () => false): false {
  if (error instanceof Fault) throw error
  if (isDocumented(error)) return false
  if (error instanceof AdasumError && ERROR_CODES.includes(error.code)) return false
  throw new Fault(`it threw what is no error of ours: ${reasonOf(error)}`, { cause: error })
}

/** The same for words that may end up on the terminal of somebody who trusts the sender less than himself. */
export function foreignRefusal(error: unknown, isDocumented?: (error: unknown) => boolean): false {
  refusal(error, isDocumented)
  const message = reasonOf(error)
  ensure(
    !UNPRINTABLE.test(message),
    `its message has characters that are not to be printed: ${JSON.stringify(message)}`,
  )
  ensure(
    message.length <= LONGEST_MESSAGE,
    `its message has ${message.length} characters, of at most ${LONGEST_MESSAGE}`,
  )
  return false
}

/** An input: choices of the target, one byte each, and then what is parsed. */
export function inputOf(choices: readonly number[], content: Uint8Array | string): Uint8Array {
  return Buffer.concat([Uint8Array.from(choices), typeof content === 'string' ? Buffer.from(content) : content])
}

/** Gives a decoder a stream in pieces of at most so many bytes, each into the memory that it asks for. */
export function feed(decoder: Pick<Sink, 'target' | 'onFilled'>, stream: Uint8Array, pieceByteLength: number): void {
  for (let at = 0; at < stream.length;) {
    const target = decoder.target()
    ensure(target.length > 0, 'the decoder has no room for the next byte')
    const piece = stream.subarray(at, at + Math.min(pieceByteLength, target.length))
    target.set(piece)
    decoder.onFilled(piece.length)
    at += piece.length
  }
}
