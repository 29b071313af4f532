/**
 * Who may be in a handshake with a listener. Until it has proved itself anybody may be a stranger, who holds a place for some
 * seconds at most: so there is a limit, and where it is reached a newcomer takes the place of another. First go those that have
 * not said who they are, of them those of the address that has the most, and of these the oldest: whoever opens connections in
 * numbers drives out itself. They are told to try again, which a rank does.
 */
import { parseAddress } from '../transport/address.ts'
import { within } from '../timing/patience.ts'
import type { Pipe } from '../transport/transport.ts'
import { acceptHandshake, type AcceptIdentity, type Admitted, type HandshakeProgress } from './handshake.ts'

/** Handshakes of ranks take a moment: so many are under way together only if strangers are among them. */
const PLACES_A_RANK = 4
const PLACES_BESIDES = 128
/** How long a stranger has to say who it is when the listener closes, and to prove it. */
const CLOSING_HELLO_MS = 100
const CLOSING_PROOF_MS = 1000

export type ListenIdentity = Omit<AcceptIdentity, 'nonces'>

/** Takes the connection of a rank that has proved itself, and the group that it is for. */
export type OnPeer = (peerRank: number, pipe: Pipe, groupId: string) => void

export interface ListenOptions {
  /** Time for one handshake, HANDSHAKE_TIMEOUT_MS by default. */
  handshakeTimeoutMs?: number
  /** Told about every connection that did not get in, but for those that had to make room. */
  onRefused?: (error: unknown, remoteAddress: string) => void
}

class Stranger implements HandshakeProgress {
  readonly pipe: Pipe
  readonly host: string
  /** Settles when it has said who it is, or is gone. */
  readonly hasSpoken: Promise<void>
  /** Settles when it is a stranger no more. */
  isJudged: Promise<void> = Promise.resolve()
  isKnown = false
  turnAway: () => void
  #speak: () => void = () => undefined

  constructor(pipe: Pipe) {
    this.pipe = pipe
    this.host = parseAddress(pipe.remoteAddress)?.host ?? pipe.remoteAddress
    this.turnAway = () => pipe.destroy()
    this.hasSpoken = new Promise((resolve) => (this.#speak = resolve))
    void pipe.closed.then(this.#speak)
  }

  helloCame(): void {
    this.isKnown = true
    this.#speak()
  }
}

export class Acceptor {
  readonly #local: AcceptIdentity
  readonly #onPeer: OnPeer
  readonly #options: ListenOptions
  readonly #limit: number
  /** The oldest first. */
  readonly #strangers: Set<Stranger> = new Set()
  /** Those that are being told to try again. */
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
    if (this.#strangers.size >= this.#limit) this.#makeRoom()
    const stranger = new Stranger(pipe)
    this.#strangers.add(stranger)
    void pipe.closed.then(() => this.#strangers.delete(stranger))
    stranger.isJudged = this.#judge(stranger)
  }

  #makeRoom(): void {
    const stranger = this.#leastWanted()
    this.#strangers.delete(stranger)
    if (this.#leaving.size >= this.#limit) return stranger.pipe.destroy()
    this.#leaving.add(stranger.pipe)
    void stranger.pipe.closed.then(() => this.#leaving.delete(stranger.pipe))
    stranger.turnAway()
  }

  #leastWanted(): Stranger {
    const all = [...this.#strangers]
    const unknown = all.filter(({ isKnown }) => !isKnown)
    const among = unknown.length > 0 ? unknown : all
    const counts = new Map<string, number>()
    for (const { host } of among) counts.set(host, (counts.get(host) ?? 0) + 1)
    const most = Math.max(...counts.values())
    return among.find(({ host }) => counts.get(host) === most)!
  }

  /** Lets those that have said who they are prove it, if they do so soon; the others are cut off. */
  async close(): Promise<void> {
    this.#isClosed = true
    await within(CLOSING_HELLO_MS, Promise.all([...this.#strangers].map(({ hasSpoken }) => hasSpoken)))
    const known = [...this.#strangers].filter(({ isKnown }) => isKnown)
    await within(CLOSING_PROOF_MS, Promise.all(known.map(({ isJudged }) => isJudged)))
    const rest = [...[...this.#strangers].map(({ pipe }) => pipe), ...this.#leaving]
    for (const pipe of rest) pipe.destroy()
    await Promise.all(rest.map((pipe) => pipe.closed))
  }

  async #judge(stranger: Stranger): Promise<void> {
    const { pipe } = stranger
    let admitted: Admitted
    try {
      admitted = await acceptHandshake(pipe, this.#local, this.#options.handshakeTimeoutMs, stranger)
    } catch (error) {
      if (!this.#leaving.has(pipe)) this.#options.onRefused?.(error, pipe.remoteAddress)
      return
    }
    this.#strangers.delete(stranger)
    this.#onPeer(admitted.peerRank, pipe, admitted.groupId)
  }
}
