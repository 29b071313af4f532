/**
 * How a group fails: the first cause, what its calls throw because of it, and the words of the causes that a rank sees by
 * itself. Causes that come later are consequences of the first, and are dropped.
 */
import type { FlightEntry } from '../call-records.ts'
import { AdasumError, type ErrorDetails } from '../errors.ts'
import type { StallReport } from '../types.ts'
import type { Descriptor } from '../wire/frame.ts'
import { placeOf, unexpected } from './abort.ts'
import type { Call } from './call.ts'
import { collectiveName, describeCall } from './descriptor.ts'
import { MOST_CALLS_UNDER_WAY, messageOf } from './numbering.ts'
import type { NamedPeer } from './peer.ts'

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
  #flightRecord: readonly FlightEntry[] = []

  /** @param rank - this one, where nobody says otherwise */
  constructor(rank: number) {
    this.#rank = rank
  }

  get cause(): AdasumError | undefined {
    return this.#cause
  }

  /** Keeps the first cause, where it was seen, and what the group was doing. */
  record(reason: unknown, call: Call | undefined, flightRecord: readonly FlightEntry[]): AdasumError {
    this.#flightRecord = flightRecord
    // ERR_ARGUMENT is a call's own; an argument that went bad under way is this rank's failure for all others.
    const isWorldError = reason instanceof AdasumError && reason.code !== 'ERR_ARGUMENT'
    const error = isWorldError ? reason : unexpected(reason)
    const place = call && { operation: call.operation, sequence: call.sequence }
    return (this.#cause = new AdasumError(error.code, error.message, {
      ...{ rank: this.#rank, ...place, ...placeOf(error) },
      cause: error.cause,
    }))
  }

  /** What a call throws that was under way. */
  of(call: Call, lastCompleted: number): AdasumError {
    const cause = this.#cause!
    const place = { operation: call.operation, sequence: call.sequence, ...placeOf(cause), lastCompleted }
    // Not the first cause itself, which says the same: what lies behind it.
    return new AdasumError(cause.code, cause.message, { ...place, ...this.#behind(cause) })
  }

  /** What a call throws that comes when all is over. */
  later(descriptor: Descriptor, lastCompleted: number): AdasumError {
    const cause = this.#cause!
    const place = { operation: collectiveName(descriptor), ...placeOf(cause), lastCompleted }
    return new AdasumError(
      cause.code,
      `The group has failed, and ${collectiveName(descriptor)} cannot run in it. First cause: ${cause.message}`,
      { ...place, ...this.#behind(cause) },
    )
  }

  #behind({ cause }: AdasumError): Pick<ErrorDetails, 'cause' | 'flightRecord'> {
    return { cause, flightRecord: this.#flightRecord }
  }
}

const placeAt = ({ peer, address }: NamedPeer) => ({ peerRank: peer, peerAddress: address })

/** @param call - the earliest under way: the one in which the peer is most likely missed */
export function peerLost(
  peer: NamedPeer,
  call: Call | undefined,
  reason: string,
  cause: Error | undefined,
): AdasumError {
  const when = call ? ` in ${call.title}` : ''
  const why = cause ? `${reason} (${cause.message})` : reason
  const message = `Lost rank ${peer.peer} (${peer.address})${when}: ${why}. Look at that rank's output, then connect again.`
  return new AdasumError('ERR_PEER_LOST', message, { ...placeAt(peer), cause })
}

/** The peer has closed after its collective `lastSequence`, and the call needs it. */
export function peerDeparted(peer: NamedPeer, call: Call, lastSequence: number): AdasumError {
  const what = `Rank ${peer.peer} (${peer.address}) closed its communicator after collective #${lastSequence}`
  const message = `${what}; ${call.title} needs it. Call the same collectives on every rank.`
  return new AdasumError('ERR_PEER_LOST', message, placeAt(peer))
}

/** The same, of a peer that cannot be reached any more. */
export function hasLeft({ peer, address }: NamedPeer, lastSequence: number, cause: unknown): AdasumError {
  const message = `rank ${peer} (${address}) has closed its communicator, after collective #${lastSequence}: call the same collectives on every rank`
  return new AdasumError('ERR_PEER_LOST', message, { ...placeAt({ peer, address }), cause })
}

/** What went wrong with a peer's frames; its place is the peer's where it says none. */
export function peerFailed(peer: NamedPeer, error: AdasumError): AdasumError {
  return new AdasumError(error.code, error.message, { ...placeAt(peer), ...placeOf(error), cause: error.cause })
}

/** What a peer has sent against the rules. */
export function violation(peer: NamedPeer, what: string): AdasumError {
  const message = `Rank ${peer.peer} (${peer.address}) sent ${what}. Run the same version of adasum on every rank.`
  return new AdasumError('ERR_MISMATCH', message, placeAt(peer))
}

export function sentTooMuch(peer: NamedPeer, call: Call): AdasumError {
  const message = `Rank ${peer.peer} (${peer.address}) sent more data for ${call.title} than belongs to it.`
  return new AdasumError('ERR_MISMATCH', message, placeAt(peer))
}

/** @param what - the calls that are counted together, such as `collectives` */
export function tooManyUnderWay(what: string, count: number): AdasumError {
  const message = `${count} ${what} are under way, and there may be ${MOST_CALLS_UNDER_WAY}. Await some of them first.`
  return new AdasumError('ERR_NOT_READY', message)
}

/** @param refusals - of connections that were turned away: a clause */
export function timedOut(call: Call, refusals: string): AdasumError {
  const message = `${standstill(call, call.timeoutMs, refusals)}, or raise timeoutMs.`
  const [first] = call.missing()
  return new AdasumError('ERR_TIMEOUT', message, first && placeAt(first))
}

/** The report of a call that stands still, and of others behind it. */
export function stallWarning(call: Call, refusals: string, laterCallCount: number): string {
  const stands = standstill(call, call.stallMs, refusals, laterCallCount)
  return `${stands}: the call fails after ${call.timeoutMs} ms without progress.`
}

/**
 * @param group - what the group is called
 * @param laterCallCount - how many calls that have begun later wait for the same ranks, or some of them
 */
export function stallReport(call: Call, group: string, laterCallCount: number): StallReport {
  const { title, operation, sequence, descriptor, rank, size, stallMs } = call
  const arrived = call.arrived()
  const index = messageOf(sequence, size)?.index
  return {
    ...{ title, operation, group, rank, laterCallCount },
    sequence: index === undefined ? sequence : index + 1,
    what: describeCall(descriptor),
    idleMs: stallMs,
    waitingFor: call.waitingFor().map(({ peer, address }) => ({ rank: peer, address })),
    arrived,
    notHeard: call.partners().filter((partner) => !arrived.includes(partner)),
  }
}

/** An unfinished sentence of advice at the end. */
function standstill(call: Call, idleMs: number, refusals: string, laterCallCount = 0): string {
  const { title, what, rank, waitingFor, arrived, notHeard } = stallReport(call, '', laterCallCount)
  const waiting = waitingFor.map((peer) => `rank ${peer.rank} (${peer.address})`)
  const whom = waiting.length > 0 ? waiting.join(', ') : 'no rank: its own kernels'
  const named = what === call.operation ? title : `${title} (${what})`
  const calls = laterCallCount === 1 ? 'call' : 'calls'
  const where = laterCallCount > 0 ? ` in this and ${laterCallCount} later ${calls}` : ''
  const stands = `${named} made no progress for ${idleMs} ms on rank ${rank}, which waits for ${whom}${where}${refusals}`
  const heard = `It has heard of ${heardOf(arrived, notHeard)} in this call`
  return `${stands}. ${heard}. Check that those ranks are running and call the same collectives`
}

function heardOf(arrived: readonly number[], notHeard: readonly number[]): string {
  if (arrived.length === 0) return 'no other rank'
  return notHeard.length === 0 ? 'all other ranks' : `${ranksIn(arrived)}, and not of ${ranksIn(notHeard)},`
}

/** Ranks that a sentence names before it counts. */
const NAMED_RANKS = 8

function ranksIn(ranks: readonly number[]): string {
  const named = ranks.slice(0, NAMED_RANKS).toSorted((a, b) => a - b)
  const more = ranks.length > named.length ? ` and ${ranks.length - named.length} more` : ''
  return `${ranks.length === 1 ? 'rank' : 'ranks'} ${named.join(', ')}${more}`
}
