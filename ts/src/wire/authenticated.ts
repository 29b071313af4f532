/** Listening and dialling, handshake included: both give pipes to ranks that have proved who they are. */
import { nextTurn } from '#platform'
import { AdasumError, systemCode } from '../errors.ts'
import { formatAddress, isLoopback } from '../transport/address.ts'
import { systemReason } from '../transport/names.ts'
import { openFilesError } from '../transport/open-files.ts'
import { sleep } from '../timing/sleep.ts'
import type { DialLimits, Listener, Pipe, Transport } from '../transport/transport.ts'
import { apparentBits } from './secret-strength.ts'
import { Acceptor, type ListenIdentity, type ListenOptions, type OnPeer } from './acceptor.ts'
import { dialHandshake, type DialIdentity } from './handshake.ts'

/** What cannot be guessed, however many try. */
const LEAST_BITS = 128
const FIRST_RETRY_MS = 20
const LONGEST_RETRY_MS = 500
// For how long a caller without a signal retries.
const DIAL_LIMIT_MS = 30_000
/**
 * How many connections may break in the handshake before a dial fails: an overloaded listener breaks some, a strange
 * program all.
 */
const MOST_BROKEN = 5
/** How often a machine that is silent is dialled for one connection. */
const MOST_UNANSWERED = 2

/** How soon a dialler gives up one attempt, and what it asks of the connection. */
export interface DialPatience extends DialLimits {
  /** How long it waits for the other end's hello before it dials anew. */
  readonly helloMs?: number
}

/**
 * Refuses to be reachable from other machines without a secret. The code is ERR_AUTH, as for a wrong secret: one code,
 * and one thing to put right, for everything about secrets.
 *
 * @throws AdasumError ERR_AUTH
 */
export function requireSecret(host: string, secret: string): void {
  if (isLoopback(host)) return
  if (secret !== '') return requireStrength(host, secret)
  const message = `${host} is not a loopback address and there is no secret: set the same ADASUM_SECRET on all ranks, or use 127.0.0.1`
  throw new AdasumError('ERR_AUTH', message)
}

/** Whoever has recorded a handshake can try secrets at home. */
function requireStrength(host: string, secret: string): void {
  const bits = Math.floor(apparentBits(secret))
  if (bits >= LEAST_BITS) return
  const message = `${host} is not a loopback address, and the secret has ${bits} bits of apparent strength, less than ${LEAST_BITS}: give all ranks one that adasum secret makes`
  throw new AdasumError('ERR_AUTH', message)
}

/**
 * Accepts connections, and hands over those that prove to be ranks of this job, without a sink. The number of
 * handshakes at a time is limited (acceptor.ts). Closing the listener lets those that have sent a hello finish their
 * handshakes, and cuts off the rest.
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
  // The owner of the promise handles its rejection; here it only ends the handshakes that wait for it.
  if (!ArrayBuffer.isView(local.runId)) local.runId.catch(() => {})
  const acceptor = new Acceptor(local, onPeer, options)
  const accept = (pipe: Pipe): void => acceptor.accept(pipe)
  const listener = await transport.listen(host, port, accept, { diallerSpeaksFirst: true })
  return {
    host: listener.host,
    port: listener.port,
    ref: () => listener.ref(),
    unref: () => listener.unref(),
    close: async () => {
      // Closing would break connections that the system has accepted and Node has not: it takes them in these turns.
      for (let turn = 0; turn < 2; turn++) await nextTurn()
      await listener.close()
      await acceptor.close()
    },
  }
}

/**
 * Dials and does the handshake. If the acceptor is busy, or this end was too slow (it may have been computing), it
 * dials again until the signal aborts. It also dials again after it has heard nothing for a while: if the machine has
 * gone, the next dial shows it. If connections break in the handshake it dials again a few times only.
 *
 * @throws AdasumError ERR_PEER_LOST if nobody listens or the machine does not answer (`cause` is the system's error);
 * as
 *   dialHandshake; signal.reason
 */
export async function dialAuthenticated(
  transport: Transport,
  host: string,
  port: number,
  local: DialIdentity,
  signal?: AbortSignal,
  limits: DialPatience = {},
): Promise<Pipe> {
  const until = signal ? Infinity : performance.now() + DIAL_LIMIT_MS
  let brokenCount = 0
  for (let attempt = 0; ; attempt++) {
    const pipe = await dial(transport, host, port, local, signal, limits)
    try {
      return await dialHandshake(pipe, local, signal, limits.helloMs)
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
  limits: DialLimits,
): Promise<Pipe> {
  for (let tries = 1; ; tries++) {
    try {
      return await transport.dial(host, port, signal, limits)
    } catch (cause) {
      signal?.throwIfAborted()
      if (systemCode(cause) !== 'ETIMEDOUT' || tries === MOST_UNANSWERED)
        throw unreachableError(host, port, local, cause)
    }
  }
}

function unreachableError(
  host: string,
  port: number,
  { purpose, peerRank }: DialIdentity,
  cause: unknown,
): AdasumError {
  const peerAddress = formatAddress(host, port)
  const who = purpose === 'store' ? 'the store' : `rank ${peerRank}`
  const own = openFilesError(`${who} (${peerAddress}) cannot be dialled`, cause)
  if (own) return own
  // A refused dial means that the rank has gone: it has announced this address, so it did listen there.
  const hasGone = purpose === 'peer' && systemCode(cause) === 'ECONNREFUSED'
  const advice = hasGone
    ? 'its process has ended, or it has closed its communicator: look at the output there'
    : 'check that it runs and that no firewall is between'
  const message = `${who} cannot be reached at ${peerAddress} (${systemReason(cause)}): ${advice}`
  const details = { peerRank: purpose === 'store' ? undefined : peerRank, peerAddress, cause }
  return new AdasumError('ERR_PEER_LOST', message, details)
}

/** Waits about that long: a random bit more or less, so that ranks do not all come back at once. */
export async function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  await sleep(milliseconds * (0.75 + Math.random() / 2), signal)
}
