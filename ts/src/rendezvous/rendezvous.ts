/**
 * Where the ranks of a world find each other: each opens a port for its peers, tells the store where it is, and learns
 * all addresses and the run id, which every later connection must name.
 */
import { randomBytes } from 'node:crypto'
import { AdasumError, systemCode, reasonOf } from '../errors.ts'
import { formatAddress, isLoopback, isWildcard } from '../transport/address.ts'
import { Limit } from '../transport/limit.ts'
import type { Listener, Transport } from '../transport/transport.ts'
import { HAS_UNIX_TRANSPORT, unixTransport } from '../transport/unix.ts'
import type { Tuning } from '../tuning.ts'
import type { OnPeer } from '../wire/acceptor.ts'
import { listenAuthenticated } from '../wire/authenticated.ts'
import type { Place, StoreAddress } from './environment.ts'
import { acquireStore, type HeldStore } from './hosted-stores.ts'
import { joinStore, type JoinProgress } from './join.ts'
import type { PeerAddress, StartMessage, WaitingMessage } from './messages.ts'
import { NO_REFUSALS, refusalClause, type Refusals, withRefusal } from './refusals.ts'

export interface RendezvousOptions {
  transport: Transport
  timeoutMs: number
  signal?: AbortSignal | undefined
  /** Whether this rank shares memory with others of its machine. */
  sharesMemory?: boolean
  /** Whether it then listens for them on a Unix socket, too. */
  hasUnixTransport?: boolean
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
  const progress: JoinProgress = { waiting: undefined, lastError: undefined }
  const port = new PeerPort(place, options)
  let held: HeldStore | undefined
  try {
    limit.signal.throwIfAborted()
    const { transport } = options
    if (place.hostsStore) held = await acquireStore(transport, place.store, place, limit.signal)
    const ports = held === undefined ? place.store.ports : [held.port]
    const announce = (localHost: string) => port.open(localHost)
    const start = await joinStore({ ...place, transport, ...place.store, ports, announce }, limit.signal, progress)
    requireReachable(start.peers)
    return meeting(place, start, port, held)
  } catch (error) {
    await Promise.all([port.close(error), held?.release()])
    if (options.signal?.aborted === true) throw abortedError(options.signal)
    // What went wrong by itself at the last moment says more than that the time is up.
    if (error instanceof AdasumError || !limit.signal.aborted) throw error
    throw timeoutError(place, place.store, options.timeoutMs, progress)
  } finally {
    limit.release()
  }
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
      return { address: { ...address, unixKey }, listener: both(listener, near) }
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
      const message = `rank ${rank} cannot listen on ${host} (${systemCode(cause) ?? String(cause)}): set ADASUM_HOST to an address of this machine`
      throw new AdasumError('ERR_ENVIRONMENT', message, { rank, cause })
    }
  }
}

/** Two listeners as one, of which the first has the address. */
function both(listener: Listener, near: Listener): Listener {
  const each = [listener, near]
  return {
    host: listener.host,
    port: listener.port,
    close: async () => {
      // One after the other: a peer that finds the nearer one gone, and the first still there, would take it for out of reach.
      for (const one of each) await one.close()
    },
    ref: () => each.forEach((one) => one.ref()),
    unref: () => each.forEach((one) => one.unref()),
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
  const code = systemCode(cause)
  const advice = 'check that rank 0 or the launcher runs there and that no firewall is between'
  const said = lastError === undefined ? 'no answer' : reasonOf(lastError)
  const why = code === undefined ? `: ${said}` : ` (${code}): ${advice}`
  const message = `the store at ${where} could not be reached within ${timeoutMs} ms${why}`
  return new AdasumError('ERR_STORE', message, { rank, peerAddress: where, cause })
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

/** What the system said, from under our own words. */
function systemCause(error: unknown): unknown {
  return error instanceof AdasumError && error.cause !== undefined ? error.cause : error
}
