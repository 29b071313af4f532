/**
 * How the ranks of a world find each other. Each tells the store where its peers can dial it, and learns the addresses
 * of all and the run id, which every later connection must name.
 */
import { AdasumError, connectingAborted, type ErrorCode, reasonOf, systemCause, systemCode } from '../errors.ts'
import { formatAddress, isLoopback } from '../transport/address.ts'
import { Limit } from '../timing/limit.ts'
import { isUnresolved, systemReason } from '../transport/names.ts'
import type { Transport } from '../transport/transport.ts'
import type { Tuning } from '../tuning.ts'
import type { Place } from './environment.ts'
import { type Notice, noticeOf, Notices } from './notices.ts'
import { refusalClause } from './refusals.ts'
import {
  type Absence,
  type JoinProgress,
  type PeerAddress,
  type Roster,
  startOfJoining,
  type Store,
} from './stores/store.ts'
import { TcpStore } from './stores/tcp/tcp-store.ts'
import { retryWhileUnresolved } from './unresolved.ts'

export interface RendezvousOptions {
  /** The transport over which the store is dialled, and hosted. */
  transport: Transport
  timeoutMs: number
  signal?: AbortSignal | undefined
  /**
   * Makes sure that peers can dial this rank, and returns its address. It is called once for every attempt to join,
   * with the local address of the connection to the store, and again while a name does not resolve and time is left.
   */
  announce: (localHost: string) => Promise<PeerAddress>
  /** Called now and then with what this rank waits for. */
  onWaiting?: (notice: Notice) => void
}

/** The world, once all ranks have come. */
export interface Meeting {
  /** 16 bytes. */
  readonly runId: Uint8Array
  /** Addresses by rank, this rank's own included. */
  readonly peers: readonly PeerAddress[]
  readonly localRank: number
  readonly localSize: number
  /** By rank: the number of its machine. */
  readonly machines: readonly number[]
  /** Rank 0's tuning. */
  readonly tuning: Tuning
  /** Rank 0's. */
  readonly failureTimeoutMs: number
  /** Gives up the store, if this process hosts it. */
  release(): Promise<void>
}

/**
 * Waits at the store until all ranks of a world of two or more have come. On failure a store that was hosted is given
 * up.
 *
 * @throws AdasumError ERR_STORE (unreachable, port in use), ERR_TIMEOUT (ranks that did not come, by name), ERR_AUTH,
 *   ERR_WORLD_SIZE, ERR_RANK_TAKEN, ERR_MISMATCH, ERR_ENVIRONMENT (addresses that cannot reach each other), ERR_ABORTED
 */
export async function rendezvous(place: Place, options: RendezvousOptions): Promise<Meeting> {
  if (place.store === undefined) throw new AdasumError('ERR_ARGUMENT', 'a world of one rank has nobody to meet')
  const store = new TcpStore(place, place.store, options.transport)
  const limit = new Limit(options.timeoutMs, options.signal)
  const { signal } = limit
  const progress = startOfJoining()
  const onUnresolved = (error: unknown): void => void (progress.lastError = error)
  const announce = (localHost: string) => retryWhileUnresolved(() => options.announce(localHost), signal, onUnresolved)
  const notices = new Notices(options.timeoutMs, (...times) =>
    options.onWaiting?.(noticeOf(place, store.where, progress, ...times)),
  )
  try {
    signal.throwIfAborted()
    const roster = await store.join({ announce, signal, progress })
    requireReachable(roster.peers)
    return meetingOf(place, roster, store)
  } catch (error) {
    await store.release()
    if (options.signal?.aborted === true) throw connectingAborted(options.signal.reason)
    // An error of another kind, even at the last moment, says more than that the time is up.
    if (error instanceof AdasumError || !limit.signal.aborted) throw error
    throw timeoutError(place, store.where, options.timeoutMs, progress)
  } finally {
    notices.stop()
    limit.release()
  }
}

function meetingOf(place: Place, roster: Roster, store: Store): Meeting {
  const local = [...roster.machines.keys()].filter((rank) => roster.machines[rank] === roster.machines[place.rank])
  return {
    runId: Buffer.from(roster.runId, 'hex'),
    peers: roster.peers,
    tuning: roster.tuning,
    failureTimeoutMs: roster.failureTimeoutMs,
    machines: roster.machines,
    localRank: place.localRank ?? local.indexOf(place.rank),
    localSize: place.localSize ?? local.length,
    release: () => store.release(),
  }
}

/** Ranks that announce loopback cannot be reached by ranks that announce anything else. */
function requireReachable(peers: readonly PeerAddress[]): void {
  const near = peers.findIndex(({ host }) => isLoopback(host))
  const far = peers.findIndex(({ host }) => !isLoopback(host))
  if (near < 0 || far < 0) return
  const [nearName, farName] = [near, far].map(
    (rank) => `rank ${rank} at ${formatAddress(peers[rank]!.host, peers[rank]!.port)}`,
  )
  const message = `${nearName} can be reached from its own machine only, ${farName} from others: give rank ${near} an ADASUM_HOST that the others can reach`
  throw new AdasumError('ERR_ENVIRONMENT', message)
}

function timeoutError(place: Place, where: string, timeoutMs: number, progress: JoinProgress): AdasumError {
  const { rank } = place
  const { waiting, lastError } = progress
  if (waiting !== undefined && waiting.missing.length > 0)
    return absenceError(place, waiting, `the store at ${where}`, timeoutMs, lastError)
  if (lastError instanceof AdasumError && lastError.code === 'ERR_AUTH') return lastError
  const cause = systemCause(lastError)
  const [code, what] = unfinished(place, where, lastError)
  const said = lastError === undefined ? 'no answer' : reasonOf(lastError)
  const why = systemCode(cause) === undefined ? `: ${said}` : ` (${systemReason(cause)}): ${adviceOn(cause)}`
  const message = `${what} within ${timeoutMs} ms${why}`
  return new AdasumError(code, message, { rank, peerAddress: where, cause })
}

/** The code and words for what did not succeed in time. If that was listening, a name did not resolve. */
function unfinished({ rank, host }: Place, where: string, lastError: unknown): [ErrorCode, string] {
  const { code } = lastError instanceof AdasumError ? lastError : { code: undefined }
  if (code === 'ERR_ENVIRONMENT') return [code, `rank ${rank} could not listen on ${host}`]
  const what =
    code === 'ERR_STORE' ? `the store could not listen at ${where}` : `the store at ${where} could not be reached`
  return ['ERR_STORE', what]
}

function adviceOn(cause: unknown): string {
  if (isUnresolved(cause)) return 'the name does not resolve here, check it'
  return 'check that rank 0 or the launcher runs there and that no firewall is between'
}

/**
 * Names the ranks that never came. Those that came and left do not count: ranks that wait give up at about the same
 * time.
 */
function absenceError(
  { rank, size }: Place,
  { missing, left, refusals }: Absence,
  store: string,
  timeoutMs: number,
  cause: unknown,
): AdasumError {
  const absent = missing.filter((other) => !left.includes(other))
  const named = absent.length > 0 ? absent : missing
  const names = named.length === 1 ? `rank ${named[0]}` : `ranks ${named.join(', ')}`
  const message =
    absent.length > 0
      ? `${names} did not come to ${store} within ${timeoutMs} ms (${size - absent.length} of ${size} ranks came): check that all were started`
      : `${names} came to ${store} and left again, and did not come back within ${timeoutMs} ms: look at the output there`
  return new AdasumError('ERR_TIMEOUT', message + refusalClause(refusals), { rank, peerRank: named[0], cause })
}
