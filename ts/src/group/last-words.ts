/** The frames after which nothing more comes, and how they reach a peer. */
import type { AdasumError } from '../errors.ts'
import { within } from '../timing/patience.ts'
import type { PendingPipe } from '../transport/pending.ts'
import type { Pipe } from '../transport/transport.ts'
import { lingerAndClose } from '../wire/handshake.ts'
import { encodeCause } from './abort.ts'
import { encodeFrame } from './outbox.ts'

/** How long a failing group waits for its last words to leave, and one that says goodbye for them to arrive. */
export const LAST_WORDS_MS = 250
/** How long a goodbye waits behind what the peer has not read yet: it may be computing. */
const GOODBYE_MS = 30_000

/** How a rank has left the world's group. */
export interface Farewell {
  /** Its last collective there. */
  readonly lastSequence: number
  /** The ranks that it has been in touch with, and that know. */
  readonly told: ReadonlySet<number>
}

/** Why a group has failed. */
export function abortFrame(cause: AdasumError): Uint8Array {
  return encodeFrame('abort', { sequence: cause.sequence ?? 0 }, encodeCause(cause))
}

/** @param lastSequence - of the last collective that this rank took part in */
export function goodbyeFrame(lastSequence: number): Uint8Array {
  return encodeFrame('goodbye', { sequence: lastSequence })
}

/**
 * Says goodbye to a peer, and lets go of both connections once it has arrived, or may be relied upon to arrive: the system
 * delivers what it has taken, even if this process ends at once.
 *
 * It goes behind everything that this rank has written. A peer that has not dialled yet has been sent no data, or the call
 * would not be complete: it hears the goodbye on the connection that it writes to, and its own dialling has no consequence.
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
  // For the peer that dials meanwhile, behind what waits for it.
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

/** The same on a connection that comes when all is over. */
export async function dismiss(pipe: Pipe, words: Uint8Array): Promise<void> {
  lingerAndClose(pipe, words)
  await within(LAST_WORDS_MS, pipe.closed)
}
