/** Listening and dialling with the handshake done: what comes out are pipes to known ranks. */
import { nextTurn } from '#platform'
import { AdasumError, systemCode } from '../errors.ts'
import { formatAddress, isLoopback } from '../transport/address.ts'
import { systemReason } from '../transport/names.ts'
import { openFilesError } from '../transport/open-files.ts'
import { sleep } from '../timing/sleep.ts'
import type { Listener, Pipe, Transport } from '../transport/transport.ts'
import { Acceptor, type ListenIdentity, type ListenOptions, type OnPeer } from './acceptor.ts'
import { dialHandshake, type DialIdentity } from './handshake.ts'

const FIRST_RETRY_MS = 20
const LONGEST_RETRY_MS = 500
// A caller without a signal gets an answer in the end.
const DIAL_LIMIT_MS = 30_000
/** A connection that breaks during the handshake may have been one too many; another program that does so always will. */
const MOST_BROKEN = 5
/** How often a machine that is silent is dialled for one connection, each time for as long as the transport waits. */
const MOST_UNANSWERED = 2

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
 * Accepts connections and hands over those that prove to be ranks of this run, without a sink. How many may be in handshakes
 * at a time is limited (acceptor.ts). Closing it lets those that have said who they are finish theirs, and cuts off the rest.
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
  if (!ArrayBuffer.isView(local.runId)) local.runId.catch(() => {})
  const acceptor = new Acceptor(local, onPeer, options)
  const listener = await transport.listen(host, port, (pipe) => acceptor.accept(pipe))
  return {
    host: listener.host,
    port: listener.port,
    ref: () => listener.ref(),
    unref: () => listener.unref(),
    close: async () => {
      // What the system has accepted, it would break.
      for (let turn = 0; turn < 2; turn++) await nextTurn()
      await listener.close()
      await acceptor.close()
    },
  }
}

/**
 * Dials and does the handshake. A dial that was turned away, because the acceptor is busy or this end was too slow (it may have
 * been computing), tries again until the signal aborts; one whose connection breaks, a few times. So does one that has heard
 * nothing for a while: if the link has dropped since, the next dial shows it.
 *
 * @throws AdasumError ERR_PEER_LOST if nobody listens or the machine does not answer (`cause` is the system's error); as
 *   dialHandshake; signal.reason
 */
export async function dialAuthenticated(
  transport: Transport,
  host: string,
  port: number,
  local: DialIdentity,
  signal?: AbortSignal,
): Promise<Pipe> {
  const until = signal ? Infinity : performance.now() + DIAL_LIMIT_MS
  let brokenCount = 0
  for (let attempt = 0; ; attempt++) {
    const pipe = await dial(transport, host, port, local, signal)
    try {
      await dialHandshake(pipe, local, signal)
      return pipe
    } catch (error) {
      signal?.throwIfAborted()
      if (!(error instanceof AdasumError)) throw error
      const isBroken = error.code === 'ERR_PEER_LOST' && ++brokenCount < MOST_BROKEN
      const isTurnedAway = error.code === 'ERR_NOT_READY' || error.code === 'ERR_TIMEOUT'
      if (!(isBroken || isTurnedAway) || performance.now() > until) throw error
      await pause(Math.min(FIRST_RETRY_MS * 2 ** attempt, LONGEST_RETRY_MS), signal)
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
  for (let tries = 1; ; tries++) {
    try {
      return await transport.dial(host, port, signal)
    } catch (cause) {
      signal?.throwIfAborted()
      if (systemCode(cause) !== 'ETIMEDOUT' || tries === MOST_UNANSWERED) throw unreachable(host, port, local, cause)
    }
  }
}

function unreachable(host: string, port: number, { purpose, peerRank }: DialIdentity, cause: unknown): AdasumError {
  const peerAddress = formatAddress(host, port)
  const who = purpose === 'store' ? 'the store' : `rank ${peerRank}`
  const own = openFilesError(`${who} (${peerAddress}) cannot be dialled`, cause)
  if (own) return own
  // A rank has listened there, or nobody would know its address.
  const hasGone = purpose === 'peer' && systemCode(cause) === 'ECONNREFUSED'
  const advice = hasGone
    ? 'its process has ended, or it has closed its communicator: look at the output there'
    : 'check that it runs and that no firewall is between'
  const message = `${who} cannot be reached at ${peerAddress} (${systemReason(cause)}): ${advice}`
  const details = { peerRank: purpose === 'store' ? undefined : peerRank, peerAddress, cause }
  return new AdasumError('ERR_PEER_LOST', message, details)
}

/** Waits about that long, a little more or less on each rank, so that they do not all come back at once. */
export async function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  await sleep(milliseconds * (0.75 + Math.random() / 2), signal)
}
