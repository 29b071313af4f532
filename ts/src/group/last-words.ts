/** The frames after which nothing more comes. */
import type { AdasumError } from '../errors.ts'
import { encodeCause } from './abort.ts'
import { encodeFrame } from './outbox.ts'

/** Why a group has failed. */
export function abortFrame(cause: AdasumError): Buffer {
  return encodeFrame('abort', { sequence: cause.sequence ?? 0 }, encodeCause(cause))
}

/** @param lastSequence - of the last collective that this rank took part in */
export function goodbyeFrame(lastSequence: number): Buffer {
  return encodeFrame('goodbye', { sequence: lastSequence })
}
