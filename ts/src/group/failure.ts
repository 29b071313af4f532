/**
 * How a group fails: the first cause, what its calls throw because of it, and the words of the causes that a rank sees by
 * itself. Causes that come later are consequences of the first, and are dropped.
 */
import { AdasumError } from '../errors.ts'
import type { Descriptor } from '../wire/frame.ts'
import { placeOf, unexpected } from './abort.ts'
import type { Call } from './call.ts'
import { collectiveName } from './descriptor.ts'

/** An outcome on which all ranks agree, such as ERR_NON_FINITE: it ends the call, not the group. */
export class AgreedFailure extends Error {
  readonly error: AdasumError
  constructor(error: AdasumError) {
    super(error.message)
    this.error = error
  }
}

/** Why a group has failed, if it has. */
export class Failure {
  readonly #rank: number
  #cause: AdasumError | undefined

  /** @param rank - this one, where nobody says otherwise */
  constructor(rank: number) {
    this.#rank = rank
  }

  get cause(): AdasumError | undefined {
    return this.#cause
  }

  /** Keeps a cause, and where it was seen. Returns false if there is one already. */
  record(reason: unknown, call: Call | undefined): boolean {
    if (this.#cause) return false
    // ERR_ARGUMENT is a call's own; an argument that went bad under way is this rank's failure for all others.
    const isWorldError = reason instanceof AdasumError && reason.code !== 'ERR_ARGUMENT'
    const error = isWorldError ? reason : unexpected(reason)
    const place = call && { operation: call.operation, sequence: call.sequence }
    this.#cause = new AdasumError(error.code, error.message, {
      ...{ rank: this.#rank, ...place, ...placeOf(error) },
      cause: error.cause,
    })
    return true
  }

  /** What a call throws that was under way. */
  of(call: Call, lastCompleted: number): AdasumError {
    const cause = this.#cause!
    const place = { operation: call.operation, sequence: call.sequence, ...placeOf(cause), lastCompleted }
    // Not the first cause itself, which says the same: what lies behind it.
    return new AdasumError(cause.code, cause.message, { ...place, cause: cause.cause })
  }

  /** What a call throws that comes when all is over. */
  later(descriptor: Descriptor, lastCompleted: number): AdasumError {
    const cause = this.#cause!
    const place = { operation: collectiveName(descriptor), ...placeOf(cause), lastCompleted }
    return new AdasumError(
      cause.code,
      `The group has failed, and ${collectiveName(descriptor)} cannot run in it. First cause: ${cause.message}`,
      { ...place, cause: cause.cause },
    )
  }
}

/** The other end of a link. */
interface Peer {
  readonly peer: number
  readonly address: string
}

const placeAt = ({ peer, address }: Peer) => ({ peerRank: peer, peerAddress: address })

/** @param call - the earliest under way: the one in which the peer is most likely missed */
export function peerLost(peer: Peer, call: Call | undefined, reason: string, cause: Error | undefined): AdasumError {
  const when = call ? ` in ${call.title}` : ''
  const why = cause ? `${reason} (${cause.message})` : reason
  const message = `Lost rank ${peer.peer} (${peer.address})${when}: ${why}. Look at that rank's output, then connect again.`
  return new AdasumError('ERR_PEER_LOST', message, { ...placeAt(peer), cause })
}

/** The peer has closed after its collective `lastSequence`, and the call needs it. */
export function peerDeparted(peer: Peer, call: Call, lastSequence: number): AdasumError {
  const what = `Rank ${peer.peer} (${peer.address}) closed its communicator after collective #${lastSequence}`
  const message = `${what}; ${call.title} needs it. Call the same collectives on every rank.`
  return new AdasumError('ERR_PEER_LOST', message, placeAt(peer))
}

/** What went wrong with a peer's frames; its place is the peer's where it says none. */
export function peerFailed(peer: Peer, error: AdasumError): AdasumError {
  return new AdasumError(error.code, error.message, { ...placeAt(peer), ...placeOf(error), cause: error.cause })
}

export function sentTooMuch({ peer }: Peer, call: Call): AdasumError {
  return new AdasumError('ERR_MISMATCH', `Rank ${peer} sent more data for ${call.title} than belongs to it.`)
}

/** @param refusals - of connections that were turned away: a clause */
export function timedOut(call: Call, refusals: string): AdasumError {
  const message = `${standstill(call, call.timeoutMs, refusals)}, or raise timeoutMs.`
  const [first] = call.waitingFor()
  return new AdasumError('ERR_TIMEOUT', message, first && placeAt(first))
}

/** The report of a call that stands still. */
export function stallWarning(call: Call, refusals: string): string {
  return `${standstill(call, call.stallMs, refusals)}: the call fails after ${call.timeoutMs} ms without progress.`
}

/** An unfinished sentence of advice at the end. */
function standstill(call: Call, idleMs: number, refusals: string): string {
  const waiting = call.waitingFor().map((link) => `rank ${link.peer} (${link.address})`)
  const whom = waiting.length > 0 ? waiting.join(', ') : 'no rank: its own kernels'
  const what = `${call.title} made no progress for ${idleMs} ms on rank ${call.rank}, which waits for ${whom}`
  return `${what}${refusals}. Check that those ranks are running and call the same collectives`
}
