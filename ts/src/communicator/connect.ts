/**
 * Connecting: ranks meet at a store, learn each other's addresses, and open two connections for each pair, one each way.
 * The reader of a direction dials, so that Node reads straight into the destination (see transport/tcp.ts).
 */
import { loadBinding } from '../binding/native.ts'
import { AdasumError } from '../errors.ts'
import { peersOf } from '../group/call.ts'
import { Group, checkSignal } from '../group/group.ts'
import { type Place, resolvePlace } from '../rendezvous/environment.ts'
import { refusalClause } from '../rendezvous/refusals.ts'
import { type Meeting, rendezvous } from '../rendezvous/rendezvous.ts'
import { Limit } from '../transport/limit.ts'
import { tcp } from '../transport/tcp.ts'
import type { Pipe, Transport } from '../transport/transport.ts'
import type { ConnectOptions } from '../types.ts'
import { dialAuthenticated } from '../wire/authenticated.ts'
import { Communicator } from './communicator.ts'

/**
 * Joins the world: waits until all ranks have come, and connects to each of them.
 *
 * Where this process stands comes from the options, then from ADASUM_RANK, ADASUM_SIZE, ADASUM_STORE, ADASUM_SECRET and
 * ADASUM_HOST, then from RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT. If none is set, the world has one rank.
 *
 * @throws AdasumError ERR_ENVIRONMENT (half-set environment), ERR_ARGUMENT, ERR_STORE (unreachable, port in use),
 *   ERR_AUTH (wrong secret), ERR_RANK_TAKEN, ERR_WORLD_SIZE, ERR_TIMEOUT (ranks that did not come), ERR_PEER_LOST,
 *   ERR_ABORTED, ERR_BINDING
 */
export function connect(options: ConnectOptions = {}): Promise<Communicator> {
  return connectOver(tcp, options, process.env)
}

/** As `connect`, over any transport. */
export async function connectOver(
  transport: Transport,
  options: ConnectOptions,
  env: NodeJS.ProcessEnv,
): Promise<Communicator> {
  loadBinding()
  const place = resolvePlace(options, env)
  checkSignal(options.signal)
  const { rank, size } = place
  if (size === 1)
    return new Communicator(new Group({ rank, size }), { localRank: 0, localSize: 1 }, () => Promise.resolve())
  const limit = new Limit(place.timeoutMs, options.signal)
  try {
    return await connectPeers(transport, place, options.signal, limit)
  } finally {
    limit.release()
  }
}

async function connectPeers(
  transport: Transport,
  place: Place,
  callersSignal: AbortSignal | undefined,
  limit: Limit,
): Promise<Communicator> {
  const { rank, size } = place
  const peers = new Peers(rank, size)
  const meeting = await rendezvous(place, {
    transport,
    timeoutMs: place.timeoutMs,
    signal: callersSignal,
    onPeer: (peer, pipe) => peers.accepted(peer, pipe),
  })
  const leave = async () => void (await Promise.allSettled([meeting.listener.close(), meeting.release()]))
  try {
    const { runId } = meeting
    const dialled = peersOf(place).map(async (peerRank) => {
      const { host, port } = meeting.peers[peerRank]!
      const identity = { runId, rank, size, peerRank, purpose: 'peer', secret: place.secret } as const
      peers.dialled(peerRank, await dialAuthenticated(transport, host, port, identity, limit.signal))
    })
    await Promise.race([Promise.all([...dialled, peers.complete]), aborted(limit.signal)])
  } catch (error) {
    const isLate = limit.signal.aborted
    limit.abort()
    peers.destroy()
    await leave()
    if (error instanceof AdasumError && !isLate) throw error
    throw callersSignal?.aborted ? abortedError(callersSignal) : peers.timeoutError(place.timeoutMs, meeting)
  }
  const group = new Group({ rank, size })
  for (const peer of peersOf(place)) group.addPeer(peer, ...peers.pipesOf(peer))
  meeting.listener.unref()
  return new Communicator(group, meeting, leave)
}

/** The connections of a rank while they are being made. */
class Peers {
  readonly #rank: number
  readonly #size: number
  readonly #readers = new Map<number, Pipe>()
  readonly #writers = new Map<number, Pipe>()
  #isDestroyed = false
  #resolve: () => void = () => undefined
  /** Resolves when every peer has dialled this rank. */
  readonly complete: Promise<void>

  constructor(rank: number, size: number) {
    this.#rank = rank
    this.#size = size
    this.complete = new Promise((resolve) => (this.#resolve = resolve))
  }

  accepted(peer: number, pipe: Pipe): void {
    // A second connection can only be a mistake or a replay: the first one counts.
    if (this.#isDestroyed || this.#writers.has(peer)) return pipe.destroy()
    this.#writers.set(peer, pipe)
    if (this.#writers.size === this.#size - 1) this.#resolve()
  }

  dialled(peer: number, pipe: Pipe): void {
    if (this.#isDestroyed) pipe.destroy()
    this.#readers.set(peer, pipe)
  }

  pipesOf(peer: number): [reader: Pipe, writer: Pipe] {
    return [this.#readers.get(peer)!, this.#writers.get(peer)!]
  }

  destroy(): void {
    this.#isDestroyed = true
    for (const pipe of [...this.#readers.values(), ...this.#writers.values()]) pipe.destroy()
  }

  timeoutError(timeoutMs: number, meeting: Meeting): AdasumError {
    const isMissing = (peer: number): boolean => !this.#readers.has(peer) || !this.#writers.has(peer)
    const missing = peersOf({ rank: this.#rank, size: this.#size }).filter(isMissing)
    const list = missing
      .map((peer) => `rank ${peer} (${meeting.peers[peer]!.host}:${meeting.peers[peer]!.port})`)
      .join(', ')
    return new AdasumError(
      'ERR_TIMEOUT',
      `Rank ${this.#rank} could not connect within ${timeoutMs} ms to ${list}: check that those ranks run and can be reached${refusalClause(meeting.refusals())}.`,
      { rank: this.#rank, peerRank: missing[0] },
    )
  }
}

function abortedError(signal: AbortSignal): AdasumError {
  return new AdasumError('ERR_ABORTED', 'connect was aborted by its caller.', { cause: signal.reason })
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const fail = (): void => reject(signal.reason as Error)
    if (signal.aborted) fail()
    else signal.addEventListener('abort', fail, { once: true })
  })
}
