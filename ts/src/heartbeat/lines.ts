/**
 * The connections of one rank's heartbeat. It listens at a port of its own, because a thread that computes could not
 * accept for it, and keeps a line open to each peer that it is told to reach.
 *
 * Either end of a pair may dial, so that one port which is taken, or closed by a firewall, does no harm: the lower rank
 * dials at once, the higher one if no line has come by then. Should both dial, both lines live.
 */
import { AdasumError, systemCode } from '../errors.ts'
import type { FailureLimits } from '../timing/failure-limits.ts'
import { Limit } from '../timing/limit.ts'
import { sleep } from '../timing/sleep.ts'
import { securedTcp } from '../transport/secured.ts'
import type { TlsSetting } from '../transport/tls.ts'
import type { Listener, Pipe, Transport } from '../transport/transport.ts'
import { dialAuthenticated, listenAuthenticated } from '../wire/authenticated.ts'
import { NEWS_GROUP_ID } from '../wire/handshake-format.ts'
import { Line, type LineOwner } from './line.ts'
import type { Loss } from './messages.ts'

const FIRST_RETRY_MS = 20
const LONGEST_RETRY_MS = 500

/** Where a rank is reached: by its peers' main threads, and by their heartbeats. */
export interface HeartbeatAddress {
  readonly host: string
  readonly port: number
  /** Undefined if the rank has no heartbeat. */
  readonly heartbeatPort?: number | undefined
}

export interface HeartbeatIdentity {
  readonly rank: number
  readonly size: number
  /** 16 bytes. */
  readonly runId: Uint8Array
  readonly secret: string
  readonly tls: TlsSetting
}

export interface LinesOwner {
  /** A line to a peer is open. */
  onOpen(line: Line): void
  onMessage(peer: number, message: 'beat' | Loss): void
  /** The last line to a peer has ended. */
  onShut(peer: number): void
}

export class Lines implements LineOwner {
  readonly size: number
  readonly #identity: HeartbeatIdentity
  readonly #peers: readonly HeartbeatAddress[]
  readonly #limits: FailureLimits
  readonly #owner: LinesOwner
  readonly #lines = new Set<Line>()
  /** The peers that are to be reached. */
  readonly #reaching = new Set<number>()
  readonly #life = new Limit(undefined)
  readonly #transport: Transport
  #listener: Listener | undefined

  /** @param peers - by rank */
  constructor(
    identity: HeartbeatIdentity,
    peers: readonly HeartbeatAddress[],
    limits: FailureLimits,
    owner: LinesOwner,
  ) {
    this.size = identity.size
    this.#identity = identity
    this.#transport = securedTcp(identity.secret, identity.tls)
    this.#peers = peers
    this.#limits = limits
    this.#owner = owner
  }

  /**
   * Listens, sooner or later: the port may be in use for a moment. If it stays so, peers are reached by dialling them.
   *
   * @param host - an address of this machine
   */
  async listen(host: string, port: number): Promise<void> {
    const { signal } = this.#life
    const local = { ...this.#identity, purpose: 'heartbeat' } as const
    const onPeer = (peer: number, pipe: Pipe): void => this.#open(peer, pipe)
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        const listener = await listenAuthenticated(this.#transport, host, port, local, onPeer)
        listener.unref()
        if (signal.aborted) return await listener.close()
        this.#listener = listener
        return
      } catch {
        await retryPause(attempt, signal)
      }
    }
  }

  /**
   * Keeps a line to a peer open from now on.
   *
   * @param delayMs - how long to wait before it is dialled, if it has not dialled itself by then
   */
  reach(peer: number, delayMs: number): void {
    if (this.#reaching.has(peer) || this.#peers[peer]!.heartbeatPort === undefined) return
    this.#reaching.add(peer)
    void this.#keepOpen(peer, delayMs, this.#life.signal).catch(() => undefined)
  }

  isOpen(peer: number): boolean {
    return this.#linesTo(peer).length > 0
  }

  /**
   * Asks a peer's main thread, since its heartbeat has never been heard: `alive` if that answers. `gone` if nobody
   * listens there any more, or another program does: a process that still runs, stopped or not, keeps its port.
   */
  async askProcess(peer: number): Promise<'alive' | 'gone' | 'silent'> {
    const { host, port } = this.#peers[peer]!
    const local = { ...this.#identity, peerRank: peer, purpose: 'peer', groupId: NEWS_GROUP_ID } as const
    const limit = new Limit(this.#limits.answerMs, this.#life.signal)
    try {
      ;(await dialAuthenticated(this.#transport, host, port, local, limit.signal, this.#limits)).destroy()
      return 'alive'
    } catch (error) {
      return limit.signal.aborted || isUnanswered(error) ? 'silent' : 'gone'
    } finally {
      limit.release()
    }
  }

  /**
   * Whether a peer's system answers a dial within the time, if only to say that nobody listens there. It is dialled
   * twice, since a packet may get lost.
   */
  async isAnswered(peer: number, limitMs: number): Promise<boolean> {
    const { host, port, heartbeatPort = port } = this.#peers[peer]!
    const limit = new Limit(limitMs, this.#life.signal)
    const { signal } = limit
    const dialAfter = async (delayMs: number): Promise<void> => {
      await sleep(delayMs, signal, false)
      try {
        ;(await this.#transport.dial(host, heartbeatPort, signal, { answerMs: limitMs })).destroy()
      } catch (error) {
        if (signal.aborted || SILENT.has(systemCode(error) ?? '')) throw error
      }
    }
    try {
      await Promise.any([dialAfter(0), dialAfter(limitMs / 2)])
      return true
    } catch {
      return this.#life.signal.aborted
    } finally {
      limit.abort()
      limit.release()
    }
  }

  send(message: Uint8Array): void {
    for (const line of this.#lines) line.send(message)
  }

  end(): void {
    this.#life.abort()
    for (const line of this.#lines) line.end()
    void this.#listener?.close()
  }

  // ---- what lines tell

  onMessage({ peer }: Line, message: 'beat' | Loss): void {
    this.#owner.onMessage(peer, message)
  }

  onEnd(line: Line): void {
    if (this.#lines.delete(line) && !this.isOpen(line.peer)) this.#owner.onShut(line.peer)
  }

  // ---- opening

  async #keepOpen(peer: number, delayMs: number, signal: AbortSignal): Promise<void> {
    await sleep(delayMs, signal, false)
    for (let attempt = 0; !signal.aborted; attempt++) {
      const [open] = this.#linesTo(peer)
      if (open === undefined) await this.#dial(peer, signal)
      await this.#linesTo(peer)[0]?.closed
      await retryPause(attempt, signal)
    }
  }

  async #dial(peer: number, signal: AbortSignal): Promise<void> {
    const { host, heartbeatPort } = this.#peers[peer]!
    const local = { ...this.#identity, peerRank: peer, purpose: 'heartbeat' } as const
    try {
      this.#open(peer, await dialAuthenticated(this.#transport, host, heartbeatPort!, local, signal, this.#limits))
    } catch {
      // Whoever keeps the line open tries again.
    }
  }

  #open(peer: number, pipe: Pipe): void {
    if (this.#life.signal.aborted) return pipe.destroy()
    const line = new Line(peer, pipe, this)
    this.#lines.add(line)
    this.#owner.onOpen(line)
  }

  #linesTo(peer: number): Line[] {
    return [...this.#lines].filter((line) => line.peer === peer)
  }
}

/** Never keeps a process alive: what is waited for may have gone for good. */
function retryPause(attempt: number, signal: AbortSignal): Promise<void> {
  return sleep(Math.min(FIRST_RETRY_MS * 2 ** attempt, LONGEST_RETRY_MS), signal, false).catch(() => undefined)
}

/** The errors of a dial to which no machine has answered. */
const SILENT: ReadonlySet<string> = new Set(['ETIMEDOUT', 'EHOSTUNREACH', 'EHOSTDOWN', 'ENETUNREACH'])

function isUnanswered(error: unknown): boolean {
  return error instanceof AdasumError && SILENT.has(systemCode(error.cause) ?? '')
}
