/** Listening and dialling with the handshake done: what comes out are pipes to known ranks. */
import { setTimeout as sleep } from 'node:timers/promises'
import { AdasumError, systemCode } from '../errors.ts'
import { formatAddress, isLoopback } from '../transport/address.ts'
import type { Listener, Pipe, Transport } from '../transport/transport.ts'
import { encodeNotice } from './handshake-format.ts'
import {
  acceptHandshake,
  dialHandshake,
  lingerAndClose,
  type AcceptIdentity,
  type Admitted,
  type DialIdentity,
} from './handshake.ts'

const FIRST_RETRY_MS = 20
const LONGEST_RETRY_MS = 500
// Enough for a listener that is busy with others; a caller without a signal gets an answer in the end.
const MOST_RETRIES = 30

export type ListenIdentity = Omit<AcceptIdentity, 'nonces'>

/** Takes the connection of a rank that has proved itself, and the group that it is for. */
export type OnPeer = (peerRank: number, pipe: Pipe, groupId: string) => void

export interface ListenOptions {
  /** Time for one handshake, HANDSHAKE_TIMEOUT_MS by default. */
  handshakeTimeoutMs?: number
  /** Told about every connection that did not get in. */
  onRefused?: (error: unknown, remoteAddress: string) => void
}

/**
 * Refuses to be reachable from other machines without a secret. The code is ERR_AUTH, as for a wrong secret: one code,
 * and one thing to put right, for everything about secrets.
 *
 * @throws AdasumError ERR_AUTH
 */
export function requireSecret(host: string, secret: string): void {
  if (secret !== '' || isLoopback(host)) return
  const message = `${host} is not a loopback address and there is no secret: set the same ADASUM_SECRET on all ranks, or use 127.0.0.1`
  throw new AdasumError('ERR_AUTH', message)
}

/**
 * Accepts connections and hands over those that prove to be ranks of this run, without a sink. At most 2 size + 16 are
 * in handshakes at a time; more are sent away and try again. Closing it also cuts off those still in handshakes.
 *
 * @throws AdasumError ERR_AUTH for a host other than loopback without a secret; the system's error
 */
export async function listenAuthenticated(
  transport: Transport,
  host: string,
  port: number,
  local: ListenIdentity,
  onPeer: OnPeer,
  options: ListenOptions = {},
): Promise<Listener> {
  requireSecret(host, local.secret)
  // Whoever made the promise hears of its rejection; here it only ends the handshakes that wait for it.
  if (local.runId instanceof Promise) local.runId.catch(() => {})
  const acceptor = new Acceptor(local, onPeer, options)
  const listener = await transport.listen(host, port, (pipe) => acceptor.accept(pipe))
  return {
    host: listener.host,
    port: listener.port,
    ref: () => listener.ref(),
    unref: () => listener.unref(),
    close: async () => {
      await listener.close()
      await acceptor.close()
    },
  }
}

class Acceptor {
  readonly #local: AcceptIdentity
  readonly #onPeer: OnPeer
  readonly #options: ListenOptions
  readonly #capacity: number
  readonly #strangers: Set<Pipe> = new Set()
  #closed = false

  constructor(local: ListenIdentity, onPeer: OnPeer, options: ListenOptions) {
    this.#local = { ...local, nonces: new Set() }
    this.#onPeer = onPeer
    this.#options = options
    this.#capacity = 2 * local.size + 16
  }

  accept(pipe: Pipe): void {
    if (this.#closed) return pipe.destroy()
    const full = this.#strangers.size >= this.#capacity
    if (full && this.#strangers.size >= 2 * this.#capacity) return pipe.destroy()
    this.#strangers.add(pipe)
    void pipe.closed.then(() => this.#strangers.delete(pipe))
    if (full) lingerAndClose(pipe, encodeNotice('busy'))
    else void this.#judge(pipe)
  }

  async close(): Promise<void> {
    this.#closed = true
    const strangers = [...this.#strangers]
    for (const pipe of strangers) pipe.destroy()
    await Promise.all(strangers.map((pipe) => pipe.closed))
  }

  async #judge(pipe: Pipe): Promise<void> {
    let admitted: Admitted
    try {
      admitted = await acceptHandshake(pipe, this.#local, this.#options.handshakeTimeoutMs)
    } catch (error) {
      this.#options.onRefused?.(error, pipe.remoteAddress)
      return
    }
    this.#strangers.delete(pipe)
    if (this.#closed) pipe.destroy()
    else this.#onPeer(admitted.peerRank, pipe, admitted.groupId)
  }
}

/**
 * Dials and does the handshake, again if the acceptor says that it is busy or that this end was too slow (it may have
 * been computing).
 *
 * @throws AdasumError ERR_PEER_LOST if nobody listens (`cause` is the system's error); as dialHandshake; signal.reason
 */
export async function dialAuthenticated(
  transport: Transport,
  host: string,
  port: number,
  local: DialIdentity,
  signal?: AbortSignal,
): Promise<Pipe> {
  for (let attempt = 1; ; attempt++) {
    try {
      const pipe = await dial(transport, host, port, local, signal)
      await dialHandshake(pipe, local, signal)
      return pipe
    } catch (error) {
      signal?.throwIfAborted()
      const again = error instanceof AdasumError && (error.code === 'ERR_NOT_READY' || error.code === 'ERR_TIMEOUT')
      if (!again || attempt === MOST_RETRIES) throw error
      await pause(Math.min(FIRST_RETRY_MS * 2 ** (attempt - 1), LONGEST_RETRY_MS), signal)
    }
  }
}

async function dial(
  transport: Transport,
  host: string,
  port: number,
  local: DialIdentity,
  signal: AbortSignal | undefined,
): Promise<Pipe> {
  try {
    return await transport.dial(host, port, signal)
  } catch (cause) {
    signal?.throwIfAborted()
    const peerAddress = formatAddress(host, port)
    const who = local.purpose === 'store' ? 'the store' : `rank ${local.peerRank}`
    const peerRank = local.purpose === 'store' ? undefined : local.peerRank
    const why = systemCode(cause) ?? String(cause)
    const message = `${who} cannot be reached at ${peerAddress} (${why}): check that it runs and that no firewall is between`
    throw new AdasumError('ERR_PEER_LOST', message, { peerRank, peerAddress, cause })
  }
}

/** Waits about that long, a little more or less on each rank, so that they do not all come back at once. */
export async function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  try {
    await sleep(milliseconds * (0.75 + Math.random() / 2), undefined, signal === undefined ? {} : { signal })
  } catch (error) {
    signal?.throwIfAborted()
    throw error
  }
}
