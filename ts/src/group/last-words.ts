/** The last frame of a rank in a group (GOODBYE or ABORT), and how it reaches a peer. */
import type { AdasumError } from '../errors.ts'
import { within } from '../timing/patience.ts'
import type { PendingPipe } from '../transport/pending.ts'
import type { Pipe } from '../transport/transport.ts'
import { lingerAndClose } from '../wire/handshake.ts'
import { encodeCause } from './abort.ts'
import { encodeFrame } from './outbox.ts'

/** How long a failing group waits until its last words have left, and a closing one until they have arrived. */
export const LAST_WORDS_MS = 250
/** How long a goodbye waits behind bytes that the peer has not read yet: the peer may be computing. */
const GOODBYE_MS = 30_000

/** How a rank has left the world's group. */
export interface Farewell {
  /** Its last collective there. */
  readonly lastSequence: number
  /** The ranks that know of it, because this rank was in touch with them. */
  readonly informedRanks: ReadonlySet<number>
}

/** The frame that tells a peer why a group has failed. */
export function abortFrame(cause: AdasumError): Uint8Array {
  return encodeFrame('abort', { sequence: cause.sequence ?? 0 }, encodeCause(cause))
}

/**
 * The frame that tells a peer that this rank leaves in good order.
 *
 * @param lastSequence - the number of the last collective that this rank took part in; 0 if there was none
 */
export function goodbyeFrame(lastSequence: number): Uint8Array {
  return encodeFrame('goodbye', { sequence: lastSequence })
}

/**
 * Says goodbye to a peer, and closes both connections once the goodbye has arrived or is sure to arrive: the system
 * delivers what it has taken, even if this process ends at once.
 *
 * The goodbye follows everything that this rank has written. If the peer has not dialled yet, this rank has sent it no
 * data (a call that had data to send would not be complete). Such a peer gets the goodbye on the connection that it
 * writes to, and its own dialling has no consequence.
 *
 * @returns whether there was a way to say it
 */
export async function sayGoodbye(reader: PendingPipe, writer: PendingPipe, lastSequence: number): Promise<boolean> {
  const words = goodbyeFrame(lastSequence)
  const way = writer.isOpen ? writer : reader
  const hasWay = way.isOpen
  way.ref()
  const hasLeft = new Promise<void>((resolve) => way.write(words, () => resolve()))
  way.end()
  // A peer that dials meanwhile gets it there, behind the frames that wait for it.
  if (way === reader) {
    writer.write(words)
    writer.end()
  }
  if (hasWay) {
    await within(GOODBYE_MS, hasLeft)
    await within(LAST_WORDS_MS, way.closed)
  }
  reader.destroy()
  writer.destroy()
  return hasWay
}

/** Sends last words on a connection that comes after the group's end, and closes it. */
export async function dismiss(pipe: Pipe, words: Uint8Array): Promise<void> {
  lingerAndClose(pipe, words)
  await within(LAST_WORDS_MS, pipe.closed)
}
