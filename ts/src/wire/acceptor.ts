/**
 * Limits how many connections may be in a handshake with a listener at a time. Until a connection has proved itself it
 * may be anybody's, here called a stranger; its handshake lasts some seconds at most. When the limit is reached, a
 * newcomer takes the place of another stranger. First go those that have sent no hello; among them those from the
 * address that has the most, and of these the oldest. So whoever opens many connections drives out its own. A stranger
 * that is turned away is told to try again, which a rank does.
 */
import { hostOf } from '../transport/address.ts'
import { Crowd } from '../transport/crowd.ts'
import { hasRoom } from '../transport/open-files.ts'
import { within } from '../timing/patience.ts'
import type { Pipe } from '../transport/transport.ts'
import { acceptHandshake, type AcceptIdentity, type Admitted, type HandshakeProgress } from './handshake.ts'

/**
 * The limit: so many for each rank, and some more. Handshakes of ranks are short, so that they alone never reach it. Nor
 * do strangers have more than a part of the files that this process may have open.
 */
const PLACES_A_RANK = 4
const PLACES_BESIDES = 128
const SHARE_OF_FILES = 1 / 16
/** How many may be told to try again at a time; more are cut off without a word. */
const LEAVING_PLACES = 32
/** How long strangers still have for their hello when the listener closes, and then for their proof. */
const CLOSING_HELLO_MS = 100
const CLOSING_PROOF_MS = 1000

export type ListenIdentity = Omit<AcceptIdentity, 'nonces'>

/** Takes the connection of a rank that has proved itself, and the group that it is for. */
export type OnPeer = (peerRank: number, pipe: Pipe, groupId: string) => void

export interface ListenOptions {
  /** Time for one handshake, HANDSHAKE_TIMEOUT_MS by default. */
  handshakeTimeoutMs?: number
  /** Called for every connection that was refused, except those that had to make room. */
  onRefused?: (error: unknown, remoteAddress: string) => void
}

/** A connection that has not proved itself yet. */
class Stranger implements HandshakeProgress {
  readonly pipe: Pipe
  readonly host: string
  /** Settles when its hello has come, or it has gone. */
  readonly hello: Promise<void>
  /** Settles when its handshake is over. */
  judgement: Promise<void> = Promise.resolve()
  /** It had to make room, and is nobody any more. */
  isTurnedAway = false
  turnAway: () => void
  readonly #onKnown: () => void
  #settleHello: () => void = () => undefined

  /** @param onKnown - called when its hello has come */
  constructor(pipe: Pipe, onKnown: () => void) {
    this.pipe = pipe
    this.#onKnown = onKnown
    this.host = hostOf(pipe.remoteAddress)
    this.turnAway = () => pipe.destroy()
    this.hello = new Promise((resolve) => (this.#settleHello = resolve))
    void pipe.closed.then(this.#settleHello)
  }

  onHello(): void {
    this.#onKnown()
    this.#settleHello()
  }
}

export class Acceptor {
  readonly #local: AcceptIdentity
  readonly #onPeer: OnPeer
  readonly #options: ListenOptions
  readonly #limit: number
  /** Connections in a handshake: of which no hello has come, and the others. */
  readonly #unknown = new Crowd<Stranger>()
  readonly #known = new Crowd<Stranger>()
  /** Connections that are being told to try again. */
  readonly #leaving: Set<Pipe> = new Set()
  #isClosed = false

  constructor(local: ListenIdentity, onPeer: OnPeer, options: ListenOptions) {
    this.#local = { ...local, nonces: new Set() }
    this.#onPeer = onPeer
    this.#options = options
    this.#limit = PLACES_A_RANK * local.size + PLACES_BESIDES
  }

  accept(pipe: Pipe): void {
    if (this.#isClosed) return pipe.destroy()
    if (!hasRoom(this.#unknown.size + this.#known.size, SHARE_OF_FILES, this.#limit)) this.#makeRoom()
    const stranger = new Stranger(pipe, () => this.#know(stranger))
    this.#unknown.add(stranger.host, stranger)
    void pipe.closed.then(() => this.#forget(stranger))
    stranger.judgement = this.#judge(stranger)
  }

  #know(stranger: Stranger): void {
    if (this.#unknown.delete(stranger.host, stranger)) this.#known.add(stranger.host, stranger)
  }

  #forget(stranger: Stranger): void {
    if (!this.#unknown.delete(stranger.host, stranger)) this.#known.delete(stranger.host, stranger)
  }

  #makeRoom(): void {
    const stranger = (this.#unknown.leastWanted ?? this.#known.leastWanted)!
    this.#forget(stranger)
    stranger.isTurnedAway = true
    if (this.#leaving.size >= LEAVING_PLACES) return stranger.pipe.destroy()
    this.#leaving.add(stranger.pipe)
    void stranger.pipe.closed.then(() => this.#leaving.delete(stranger.pipe))
    stranger.turnAway()
  }

  /** Waits a moment for the proofs of those that have sent a hello, and cuts off all others. */
  async close(): Promise<void> {
    this.#isClosed = true
    await within(CLOSING_HELLO_MS, Promise.all([...this.#unknown].map(({ hello }) => hello)))
    await within(CLOSING_PROOF_MS, Promise.all([...this.#known].map(({ judgement }) => judgement)))
    const strangers = [...this.#unknown, ...this.#known].map(({ pipe }) => pipe)
    const rest = [...strangers, ...this.#leaving]
    for (const pipe of rest) pipe.destroy()
    await Promise.all(rest.map((pipe) => pipe.closed))
  }

  async #judge(stranger: Stranger): Promise<void> {
    const { pipe } = stranger
    let admitted: Admitted
    try {
      admitted = await acceptHandshake(pipe, this.#local, this.#options.handshakeTimeoutMs, stranger)
    } catch (error) {
      if (!stranger.isTurnedAway) this.#options.onRefused?.(error, pipe.remoteAddress)
      return
    }
    this.#forget(stranger)
    this.#onPeer(admitted.peerRank, admitted.pipe, admitted.groupId)
  }
}
