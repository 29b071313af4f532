/**
 * How a group fails: the first cause, the errors that its calls throw because of it, and the messages of the causes
 * that a rank finds by itself. Later causes are consequences of the first, and are dropped.
 */
import type { FlightEntry } from '../call-records.ts'
import { AdasumError, type ErrorDetails } from '../errors.ts'
import type { FailureLimits } from '../timing/failure-limits.ts'
import type { StallReport } from '../types.ts'
import type { Descriptor } from '../wire/frame.ts'
import { originOf, unexpectedError } from './abort.ts'
import type { Call } from './call.ts'
import { collectiveName, callInWords } from './descriptor.ts'
import { MOST_CALLS_UNDER_WAY, isJoin, messageOf, shownNumber } from './numbering.ts'
import type { NamedPeer } from './peer.ts'

/** An outcome on which all ranks agree, such as ERR_NON_FINITE: it ends the call, not the group. */
export class AgreedFailure extends Error {
  readonly error: AdasumError
  constructor(error: AdasumError) {
    super(error.message)
    this.error = error
  }
}

/** The first cause of a group's failure, once there is one. */
export class Failure {
  readonly #rank: number
  #cause: AdasumError | undefined
  #flightRecord: readonly FlightEntry[] = []

  /** @param rank - this rank, which counts as the origin of a cause that names none */
  constructor(rank: number) {
    this.#rank = rank
  }

  get cause(): AdasumError | undefined {
    return this.#cause
  }

  /** Keeps the first cause, with the call in which it was seen and the flight record of that moment. */
  record(reason: unknown, call: Call | undefined, flightRecord: readonly FlightEntry[]): AdasumError {
    this.#flightRecord = flightRecord
    // ERR_ARGUMENT concerns one call of one rank. If an argument goes bad under way, the other ranks see a failure of
    // this rank.
    const isGroupError = reason instanceof AdasumError && reason.code !== 'ERR_ARGUMENT'
    const error = isGroupError ? reason : unexpectedError(reason)
    const origin = call && { operation: call.operation, sequence: shownNumber(call.sequence) }
    return (this.#cause = new AdasumError(error.code, error.message, {
      ...{ rank: this.#rank, ...origin, ...originOf(error) },
      cause: error.cause,
    }))
  }

  /** The error of a call that was under way when the group failed. */
  errorFor(call: Call, lastCompleted: number): AdasumError {
    const cause = this.#cause!
    const origin = {
      operation: call.operation,
      sequence: shownNumber(call.sequence),
      ...originOf(cause),
      lastCompleted,
    }
    // `cause` is the cause of the first error, since that error itself says the same as this one.
    return new AdasumError(cause.code, cause.message, { ...origin, ...this.#detailsOf(cause) })
  }

  /** The error of a call that is made after the group has failed. */
  errorForLaterCall(descriptor: Descriptor, lastCompleted: number): AdasumError {
    const cause = this.#cause!
    const origin = { operation: collectiveName(descriptor), ...originOf(cause), lastCompleted }
    return new AdasumError(
      cause.code,
      `The group has failed, and ${collectiveName(descriptor)} cannot run in it. First cause: ${cause.message}`,
      { ...origin, ...this.#detailsOf(cause) },
    )
  }

  #detailsOf({ cause }: AdasumError): Pick<ErrorDetails, 'cause' | 'flightRecord'> {
    return { cause, flightRecord: this.#flightRecord }
  }
}

const peerFields = ({ peer, address }: NamedPeer) => ({ peerRank: peer, peerAddress: address })

/** @param call - the earliest call under way: most likely the one that the peer is missing from */
export function peerLostError(peer: NamedPeer, call: Call | undefined, reason: string, cause?: Error): AdasumError {
  const when = call ? ` in ${call.title}` : ''
  const why = cause ? `${reason} (${cause.message})` : reason
  const message = `Lost rank ${peer.peer} (${peer.address})${when}: ${why}. Look at that rank's output, then connect again.`
  return new AdasumError('ERR_PEER_LOST', message, { ...peerFields(peer), cause })
}

/**
 * The error for a rank that has given no sign of life for too long: a peer, or this rank itself, as others see it.
 *
 * @param seenBy - the rank that has seen it first, if that is one of the group
 */
export function silenceError(
  { rank, failureLimits }: { rank: number; failureLimits: FailureLimits },
  lost: NamedPeer,
  call: Call | undefined,
  seenBy: number | undefined,
): AdasumError {
  const details = { rank: seenBy, ...peerFields(lost) }
  const { failureTimeoutMs } = failureLimits
  if (lost.peer !== rank) {
    const as = seenBy === undefined ? '' : `, as rank ${seenBy} has seen`
    const { code, message } = peerLostError(lost, call, `it gave no sign of life for ${failureTimeoutMs} ms${as}`)
    return new AdasumError(code, message, details)
  }
  const who = seenBy === undefined ? 'the others' : `rank ${seenBy}`
  const message = `This rank, ${rank} (${lost.address}), counts as lost: ${who} had no sign of life of it for ${failureTimeoutMs} ms. Its process was stopped, its machine slept, or its network was cut off. Connect again.`
  return new AdasumError('ERR_PEER_LOST', message, details)
}

/** The error of a call that needs a peer which has closed after its collective `lastSequence`. */
export function peerDepartedError(peer: NamedPeer, call: Call, lastSequence: number): AdasumError {
  const what = `Rank ${peer.peer} (${peer.address}) closed its communicator after collective #${lastSequence}`
  const advice = isJoin(call.sequence)
    ? 'Call join on every rank before it closes'
    : 'Call the same collectives on every rank'
  const message = `${what}; ${call.title} needs it. ${advice}.`
  return new AdasumError('ERR_PEER_LOST', message, peerFields(peer))
}

/** The error of a dial to a peer that has closed after its collective `lastSequence`. */
export function peerLeftError({ peer, address }: NamedPeer, lastSequence: number, cause: unknown): AdasumError {
  const message = `rank ${peer} (${address}) has closed its communicator, after collective #${lastSequence}: call the same collectives on every rank`
  return new AdasumError('ERR_PEER_LOST', message, { ...peerFields({ peer, address }), cause })
}

/** An error that a peer's frames have caused; it names the peer unless it names another rank itself. */
export function peerFailedError(peer: NamedPeer, error: AdasumError): AdasumError {
  const isNamed = error.rank !== undefined || error.peerRank !== undefined
  const message = isNamed ? error.message : `Rank ${peer.peer} (${peer.address}): ${error.message}`
  return new AdasumError(error.code, message, { ...peerFields(peer), ...originOf(error), cause: error.cause })
}

/** @param what - the peer has sent against the protocol */
export function violationError(peer: NamedPeer, what: string): AdasumError {
  const message = `Rank ${peer.peer} (${peer.address}) sent ${what}. Run the same version of adasum on every rank.`
  return new AdasumError('ERR_MISMATCH', message, peerFields(peer))
}

export function sentTooMuchError(peer: NamedPeer, call: Call): AdasumError {
  const message = `Rank ${peer.peer} (${peer.address}) sent more data for ${call.title} than belongs to it.`
  return new AdasumError('ERR_MISMATCH', message, peerFields(peer))
}

/** @param what - which calls are counted, such as `collectives` */
export function tooManyUnderWayError(what: string, count: number): AdasumError {
  const message = `${count} ${what} are under way, and there may be ${MOST_CALLS_UNDER_WAY}. Await some of them first.`
  return new AdasumError('ERR_NOT_READY', message)
}

/** The error of a call that is made after this rank has joined. */
export function joinedError(descriptor: Descriptor): AdasumError {
  const message = `This rank has joined, and ${collectiveName(descriptor)} cannot run before all others have. Await join() first.`
  return new AdasumError('ERR_NOT_READY', message, { operation: collectiveName(descriptor) })
}

/** @param refusals - a clause about connections that were turned away; empty if none were */
export function timeoutError(call: Call, refusals: string): AdasumError {
  const message = `${stallSentences(call, call.timeoutMs, refusals)}, or raise timeoutMs.`
  const [first] = call.missingPeers()
  return new AdasumError('ERR_TIMEOUT', message, first && peerFields(first))
}

/** The warning about a call that stands still, and about the calls behind it. */
export function stallWarning(call: Call, refusals: string, laterCallCount: number): string {
  const stands = stallSentences(call, call.stallMs, refusals, laterCallCount)
  return `${stands}: the call fails after ${call.timeoutMs} ms without progress.`
}

/**
 * The report about a call that stands still, as `onStall` gets it.
 *
 * @param group - the group's label
 * @param laterCallCount - how many calls that have begun later wait for the same ranks, or some of them
 */
export function stallReport(call: Call, group: string, laterCallCount: number): StallReport {
  const { title, operation, sequence, descriptor, rank, size, stallMs } = call
  const arrived = call.arrivedRanks()
  const index = messageOf(sequence, size)?.index
  return {
    ...{ title, operation, group, rank, laterCallCount },
    sequence: index === undefined ? shownNumber(sequence) : index + 1,
    what: callInWords(descriptor),
    idleMs: stallMs,
    waitingFor: call.awaitedPeers().map(({ peer, address }) => ({ rank: peer, address })),
    arrived,
    notHeard: call.partners().filter((partner) => !arrived.includes(partner)),
  }
}

/** What stands still and why, in sentences, of which the last (advice) is left for the caller to finish. */
function stallSentences(call: Call, idleMs: number, refusals: string, laterCallCount = 0): string {
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

/** How many ranks a sentence names; it counts the others. */
const NAMED_RANKS = 8

function ranksIn(ranks: readonly number[]): string {
  const named = ranks.slice(0, NAMED_RANKS).toSorted((a, b) => a - b)
  const more = ranks.length > named.length ? ` and ${ranks.length - named.length} more` : ''
  return `${ranks.length === 1 ? 'rank' : 'ranks'} ${named.join(', ')}${more}`
}
