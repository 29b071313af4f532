/**
 * The port at which peers dial this rank. It listens in all ways that this process has, and says which addresses to
 * announce. A peer that learns of the addresses early may dial before this rank knows the run id; its handshake then
 * waits for that.
 */
import { emitWarning, randomBytes } from '#platform'
import { hexOf } from '../bytes.ts'
import { AdasumError } from '../errors.ts'
import type { Place } from '../rendezvous/environment.ts'
import { NO_REFUSALS, type Refusals, withRefusal } from '../rendezvous/refusals.ts'
import type { PeerAddress } from '../rendezvous/stores/store.ts'
import { isLoopback, isWildcard } from '../transport/address.ts'
import { joinListeners } from '../transport/listeners.ts'
import { systemReason } from '../transport/names.ts'
import type { Listener, Transport } from '../transport/transport.ts'
import type { OnPeer } from '../wire/acceptor.ts'
import { listenAuthenticated } from '../wire/authenticated.ts'
import type { Checksums } from '../wire/checked-pipe.ts'
import { StripeGathering } from './stripes.ts'
import type { Ways } from './ways.ts'

interface OpenPort {
  /** The local address of the connection to the store for which the port was opened. */
  readonly localHost: string
  readonly address: PeerAddress
  readonly listener: Listener
}

type PortPlace = Pick<Place, 'rank' | 'size' | 'secret' | 'host' | 'tls'>

/** Whether this process has been told that it does not encrypt what others can read on the way. */
let hasWarned = false

export class Port {
  readonly #place: PortPlace
  readonly #ways: Ways
  readonly #sharesMemory: boolean
  readonly #checksums: Checksums
  readonly #runId: Promise<Uint8Array>
  #know: (runId: Uint8Array) => void = () => {}
  #giveUp: (error: unknown) => void = () => {}
  #opened: OpenPort | undefined
  /** Keeps the heartbeat's port until it is known what that needs to begin. */
  #heartbeatPort: Listener | undefined
  #gathering: StripeGathering | undefined
  /** Takes single connections over the transport that reaches every rank. */
  #onConnection: OnPeer = (_, pipe) => pipe.destroy()
  /** Takes connections over the near transport. */
  #onNearPeer: OnPeer = (_, pipe) => pipe.destroy()
  #refusals: Refusals = NO_REFUSALS

  /** @param sharesMemory - whether this rank shares memory with others of its machine */
  constructor(place: PortPlace, ways: Ways, sharesMemory: boolean, checksums: Checksums) {
    this.#place = place
    this.#ways = ways
    this.#sharesMemory = sharesMemory
    this.#checksums = checksums
    this.#runId = new Promise((resolve, reject) => {
      this.#know = resolve
      this.#giveUp = reject
    })
    this.#runId.catch(() => {})
  }

  /** Connections that were turned away until now. */
  get refusals(): Refusals {
    return this.#refusals
  }

  /**
   * Listens where the rank was told to, else where its connection to the store starts; the same port for every try.
   *
   * @throws AdasumError ERR_ENVIRONMENT if that is no address of this machine, or its name does not resolve
   */
  async open(localHost: string): Promise<PeerAddress> {
    const opened = this.#opened
    if (opened !== undefined && (this.#place.host !== undefined || opened.localHost === localHost))
      return opened.address
    this.#opened = undefined
    this.freeHeartbeatPort()
    await opened?.listener.close()
    this.#opened = { localHost, ...(await this.#listenFor(localHost)) }
    return this.#opened.address
  }

  /** Lets peers in, now that the run id is known. `onPeer` gets each peer's pipe once all its connections have come. */
  begin(runId: Uint8Array, connectionsPerPeer: number, onPeer: OnPeer): void {
    const gathering = new StripeGathering(connectionsPerPeer, onPeer)
    this.#gathering = gathering
    this.#onConnection = (peerRank, pipe, groupId) => gathering.accept(peerRank, pipe, groupId)
    this.#onNearPeer = onPeer
    this.#know(runId)
  }

  /** From now on the heartbeat can listen at its port. */
  freeHeartbeatPort(): void {
    void this.#heartbeatPort?.close()
    this.#heartbeatPort = undefined
  }

  /** @param error - why this rank did not join, if it did not */
  async close(error?: unknown): Promise<void> {
    this.#giveUp(error)
    this.freeHeartbeatPort()
    await this.#opened?.listener.close()
    await this.#gathering?.close()
  }

  /** From now on the port does not keep the process alive. */
  unref(): void {
    this.#opened?.listener.unref()
  }

  async #listenFor(localHost: string): Promise<Omit<OpenPort, 'localHost'>> {
    const { transport, nearTransport } = this.#ways
    const heartbeatPort = await this.#reserveHeartbeatPort(localHost)
    const onConnection: OnPeer = (...peer) => this.#onConnection(...peer)
    const listener = await this.#listen(transport, this.#place.host ?? localHost, 0, onConnection, this.#checksums)
    if (this.#place.tls === 'off') warnOfPlainText(listener.host)
    const { port } = listener
    const host = isWildcard(listener.host) ? localHost : listener.host
    const extras = {
      ...(heartbeatPort && { heartbeatPort }),
      ...(this.#sharesMemory && { sharesMemory: true as const }),
    }
    const address: PeerAddress = { host, port, ...extras }
    if (!this.#sharesMemory || nearTransport === undefined) return { address, listener }
    const unixKey = hexOf(randomBytes(16))
    try {
      const near = await this.#listen(nearTransport(unixKey), host, port, (...peer) => this.#onNearPeer(...peer))
      return { address: { ...address, unixKey }, listener: joinListeners([listener, near]) }
    } catch {
      // Unix sockets are optional: the other transport reaches every rank.
      return { address, listener }
    }
  }

  /**
   * Finds a free port for the heartbeat, and keeps it meanwhile. Connections that come too early find nobody, and are
   * dialled again.
   */
  async #reserveHeartbeatPort(localHost: string): Promise<number | undefined> {
    if (this.#ways.beginHeartbeat === undefined) return undefined
    const host = this.#place.host ?? localHost
    try {
      this.#heartbeatPort = await this.#ways.transport.listen(host, 0, (pipe) => pipe.destroy())
    } catch (cause) {
      throw this.#cannotListen(host, cause)
    }
    this.#heartbeatPort.unref()
    return this.#heartbeatPort.port
  }

  async #listen(
    transport: Transport,
    host: string,
    port: number,
    onPeer: OnPeer,
    checksums?: Checksums,
  ): Promise<Listener> {
    const { rank, size, secret } = this.#place
    const identity = { runId: this.#runId, rank, size, purpose: 'peer', secret, checksums } as const
    const onRefused = (error: unknown) => void (this.#refusals = withRefusal(this.#refusals, error))
    try {
      return await listenAuthenticated(transport, host, port, identity, onPeer, { onRefused })
    } catch (cause) {
      throw cause instanceof AdasumError ? cause : this.#cannotListen(host, cause)
    }
  }

  #cannotListen(host: string, cause: unknown): AdasumError {
    const { rank } = this.#place
    const message = `rank ${rank} cannot listen on ${host} (${systemReason(cause)}): set ADASUM_HOST to an address of this machine`
    return new AdasumError('ERR_ENVIRONMENT', message, { rank, cause })
  }
}

function warnOfPlainText(host: string): void {
  if (hasWarned || isLoopback(host)) return
  hasWarned = true
  emitWarning(
    `tls is "off", and this rank listens on ${host}: whoever is on the way reads gradients and weights, and may change them.`,
    'ADASUM_TLS_OFF',
  )
}
