/** The cause of a group's end, as an ABORT frame carries it from rank to rank. */
import { bytesOfText, concatBytes, textOfBytes } from '../bytes.ts'
import { AdasumError, ERROR_CODES, type ErrorCode, reasonOf } from '../errors.ts'
import { printable } from '../printable.ts'
import { ABORT_BYTE_LENGTH } from '../wire/frame.ts'
import { COLLECTIVES } from './descriptor.ts'

const MESSAGE_CHARACTERS = 2000
const ADDRESS_CHARACTERS = 300
const OPERATION_CHARACTERS = 30

export function encodeCause(cause: AdasumError): Uint8Array {
  const { code, rank, peerRank, peerAddress, operation, sequence } = cause
  const message = printable(cause.message, MESSAGE_CHARACTERS)
  const bytes = bytesOfText(JSON.stringify({ code, message, rank, peerRank, peerAddress, operation, sequence }))
  // Only characters of several bytes can make it longer than the frame: the code alone still says what happened.
  return bytes.length <= ABORT_BYTE_LENGTH ? bytes : bytesOfText(JSON.stringify({ code, message: '', rank }))
}

/**
 * Reads a cause that a peer has sent, without trusting it: fields of the wrong type are left out, as are ranks that the
 * group does not have, and control characters in its text are escaped.
 */
export function decodeCause(
  payload: readonly Uint8Array[],
  { from, size }: { from: number; size: number },
): AdasumError {
  const fields = parseObject(concatBytes(payload))
  const code = ERROR_CODES.includes(fields.code as ErrorCode) ? (fields.code as ErrorCode) : 'ERR_ABORTED'
  const message = textOf(fields.message, MESSAGE_CHARACTERS) ?? `Rank ${from} ended the group.`
  const operation = textOf(fields.operation, OPERATION_CHARACTERS)
  return new AdasumError(code, message, {
    rank: numberBelow(fields.rank, size) ?? from,
    peerRank: numberBelow(fields.peerRank, size),
    peerAddress: textOf(fields.peerAddress, ADDRESS_CHARACTERS),
    operation: operation !== undefined && Object.hasOwn(COLLECTIVES, operation) ? operation : undefined,
    sequence: numberBelow(fields.sequence, Infinity),
  })
}

function parseObject(bytes: Uint8Array): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(textOfBytes(bytes))
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

function numberBelow(value: unknown, below: number): number | undefined {
  const isWhole = Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) < below
  return isWhole ? (value as number) : undefined
}

/** The text, made printable; undefined if the value is no string, or an empty one. */
function textOf(value: unknown, most: number): string | undefined {
  return typeof value === 'string' && value !== '' ? printable(value, most) : undefined
}

/** @param rank - the rank whose caller aborted, if anything had been sent */
export function abortError(title: string, signal: AbortSignal | undefined, rank?: number): AdasumError {
  const by = rank === undefined ? 'before it sent anything' : `by its caller on rank ${rank}`
  return new AdasumError('ERR_ABORTED', `${title} was aborted ${by}.`, { rank, cause: signal?.reason })
}

/** The error by which the other ranks learn of a failure in this rank's own code. */
export function unexpectedError(reason: unknown): AdasumError {
  const message = reasonOf(reason)
  return new AdasumError('ERR_ABORTED', `This rank failed inside a collective: ${message}`, { cause: reason })
}

/** The fields of an error that say where it came about, as far as they are known. */
export function originOf({ rank, peerRank, peerAddress, operation, sequence }: AdasumError): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries({ rank, peerRank, peerAddress, operation, sequence }).filter(([, value]) => value !== undefined),
  )
}
