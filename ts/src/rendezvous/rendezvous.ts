/**
 * Where the ranks of a world find each other: each opens a port for its peers, tells the store where it is, and learns
 * all addresses and the run id, which every later connection must name.
 */
import { randomBytes } from 'node:crypto'
import { AdasumError, type ErrorCode, reasonOf, systemCode } from '../errors.ts'
import { formatAddress, isLoopback, isWildcard, nearHost } from '../transport/address.ts'
import { Limit } from '../transport/limit.ts'
import { joinListeners } from '../transport/listeners.ts'
import { isUnresolved, systemReason } from '../transport/names.ts'
import type { Listener, Transport } from '../transport/transport.ts'
import { HAS_UNIX_TRANSPORT, unixTransport } from '../transport/unix.ts'
import type { Tuning } from '../tuning.ts'
import type { OnPeer } from '../wire/acceptor.ts'
import { listenAuthenticated } from '../wire/authenticated.ts'
import type { Place, StoreAddress } from './environment.ts'
import { acquireStore, type HeldStore } from './hosted-stores.ts'
import { joinStore, type JoinProgress, startOfJoining, systemCause } from './join.ts'
import type { PeerAddress, StartMessage, WaitingMessage } from './messages.ts'
import { type Notice, noticeOf, Notices } from './notices.ts'
import { NO_REFUSALS, refusalClause, type Refusals, withRefusal } from './refusals.ts'
import { whenResolved } from './unresolved.ts'

export interface RendezvousOptions {
  transport: Transport
  timeoutMs: number
  signal?: AbortSignal | undefined
  /** Whether this rank shares memory with others of its machine. */
  sharesMemory?: boolean
  /** Whether it then listens for them on a Unix socket, too. */
  hasUnixTransport?: boolean
  /** Told now and then whom or what this rank waits for. */
  onWaiting?: (notice: Notice) => void
  /** A peer has dialled this rank, over that transport, and proved who it is. Called only after the rendezvous has settled. */
  onPeer: (...peer: [...Parameters<OnPeer>, over: Transport['name']]) => void
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
  /** Rank 0's. */
  readonly tuning: Tuning
  /** Where peers dial this rank. */
  readonly listener: Listener
  /** Connections that `listener` has turned away until now. */
  refusals(): Refusals
  /** Gives up the store, if this process hosts it. */
  release(): Promise<void>
}

/**
 * Waits at the store until all ranks of a world of two or more have come. On failure everything opened is closed again.
 *
 * @throws AdasumError ERR_STORE (unreachable, port in use), ERR_TIMEOUT (ranks that did not come, by name), ERR_AUTH,
 *   ERR_WORLD_SIZE, ERR_RANK_TAKEN, ERR_MISMATCH, ERR_ENVIRONMENT (addresses that cannot reach each other), ERR_ABORTED
 */
export async function rendezvous(place: Place, options: RendezvousOptions): Promise<Meeting> {
  if (place.store === undefined) throw new AdasumError('ERR_ARGUMENT', 'a world of one rank has nobody to meet')
  const limit = new Limit(options.timeoutMs, options.signal)
  const { signal } = limit
  const progress = startOfJoining()
  const unresolved = (error: unknown): void => void (progress.lastError = error)
  const { store } = place
  const notices = new Notices(options.timeoutMs, (...times) =>
    options.onWaiting?.(noticeOf(place, store, progress, ...times)),
  )
  const port = new PeerPort(place, options)
  let held: HeldStore | undefined
  try {
    signal.throwIfAborted()
    const { transport } = options
    if (place.hostsStore)
      held = await whenResolved(() => acquireStore(transport, store, place, signal), signal, unresolved)
    const ports = held === undefined ? store.ports : [held.port]
    const announce = (localHost: string) => whenResolved(() => port.open(localHost), signal, unresolved)
    const host =
      held !== undefined && place.listen !== undefined ? dialledHost(store.host, place.listen, place.host) : store.host
    const start = await joinStore({ ...place, transport, host, ports, announce }, signal, progress)
    requireReachable(start.peers)
    return meeting(place, start, port, held)
  } catch (error) {
    await Promise.all([port.close(error), held?.release()])
    if (options.signal?.aborted === true) throw abortedError(options.signal)
    // What went wrong by itself at the last moment says more than that the time is up.
    if (error instanceof AdasumError || !limit.signal.aborted) throw error
    throw timeoutError(place, store, options.timeoutMs, progress)
  } finally {
    notices.stop()
    limit.release()
  }
}

/**
 * Where a process reaches the store that its own machine hosts behind another machine's address. From inside that may lead
 * nowhere; but unless the ranks here know an address of their own, dialling it is how they find out which one they have.
 */
export function dialledHost(storeHost: string, listen: string, ownHost: string | undefined): string {
  return ownHost === undefined ? storeHost : nearHost(listen)
}

function meeting(place: Place, start: StartMessage, port: PeerPort, held: HeldStore | undefined): Meeting {
  const runId = Buffer.from(start.runId, 'hex')
  const local = [...start.machines.keys()].filter((rank) => start.machines[rank] === start.machines[place.rank])
  return {
    runId,
    peers: start.peers,
    tuning: start.tuning,
    machines: start.machines,
    localRank: place.localRank ?? local.indexOf(place.rank),
    localSize: place.localSize ?? local.length,
    listener: port.begin(runId),
    refusals: () => port.refusals,
    release: () => held?.release() ?? Promise.resolve(),
  }
}

/** This rank's own port. Peers that hear from the store first dial before the run id is known here: they wait. */
class PeerPort {
  readonly #place: Place
  readonly #options: RendezvousOptions
  readonly #runId: Promise<Uint8Array>
  refusals: Refusals = NO_REFUSALS
  #know: (runId: Uint8Array) => void = () => {}
  #giveUp: (error: unknown) => void = () => {}
  #open: { localHost: string; address: PeerAddress; listener: Listener } | undefined

  constructor(place: Place, options: RendezvousOptions) {
    this.#place = place
    this.#options = options
    this.#runId = new Promise((resolve, reject) => {
      this.#know = resolve
      this.#giveUp = reject
    })
    this.#runId.catch(() => {})
  }

  /** Listens where the rank was told to, else where its connection to the store starts; the same port for every try. */
  async open(localHost: string): Promise<PeerAddress> {
    if (this.#open === undefined || (this.#place.host === undefined && this.#open.localHost !== localHost)) {
      await this.#open?.listener.close()
      this.#open = undefined
      this.#open = { localHost, ...(await this.#listenFor(localHost)) }
    }
    return this.#open.address
  }

  async #listenFor(localHost: string): Promise<{ address: PeerAddress; listener: Listener }> {
    const listener = await this.#listen(this.#options.transport, this.#place.host ?? localHost, 0)
    const { port } = listener
    const host = isWildcard(listener.host) ? localHost : listener.host
    const { sharesMemory = false, hasUnixTransport = HAS_UNIX_TRANSPORT } = this.#options
    const address: PeerAddress = { host, port, ...(sharesMemory && { sharesMemory }) }
    if (!sharesMemory || !hasUnixTransport) return { address, listener }
    const unixKey = randomBytes(16).toString('hex')
    try {
      const near = await this.#listen(unixTransport(unixKey), host, port)
      return { address: { ...address, unixKey }, listener: joinListeners([listener, near]) }
    } catch {
      // Where there are no such sockets there is TCP.
      return { address, listener }
    }
  }

  begin(runId: Uint8Array): Listener {
    this.#know(runId)
    return this.#open!.listener
  }

  async close(error: unknown): Promise<void> {
    this.#giveUp(error)
    await this.#open?.listener.close()
  }

  async #listen(transport: Transport, host: string, port: number): Promise<Listener> {
    const { rank, size, secret } = this.#place
    const identity = { runId: this.#runId, rank, size, purpose: 'peer', secret } as const
    const onPeer: OnPeer = (...peer) => this.#options.onPeer(...peer, transport.name)
    const onRefused = (error: unknown) => void (this.refusals = withRefusal(this.refusals, error))
    try {
      return await listenAuthenticated(transport, host, port, identity, onPeer, { onRefused })
    } catch (cause) {
      if (cause instanceof AdasumError) throw cause
      const message = `rank ${rank} cannot listen on ${host} (${systemReason(cause)}): set ADASUM_HOST to an address of this machine`
      throw new AdasumError('ERR_ENVIRONMENT', message, { rank, cause })
    }
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

function abortedError(signal: AbortSignal): AdasumError {
  return new AdasumError('ERR_ABORTED', 'connecting was aborted by its caller', { cause: signal.reason })
}

function timeoutError(place: Place, store: StoreAddress, timeoutMs: number, progress: JoinProgress): AdasumError {
  const { rank } = place
  const where = store.ports.map((port) => formatAddress(store.host, port)).join(', ')
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

/** What has not come about. Of listening the time can only be up where a name did not resolve. */
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

/** Names those who never came: others that wait give up at about the same time, and the store tells that they left. */
function absenceError(
  { rank, size }: Place,
  { missing, left, refusals }: WaitingMessage,
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
