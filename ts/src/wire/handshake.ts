/**
 * Mutual authentication of a new pipe, and agreement on who talks to whom.
 *
 *     dialler                                   acceptor
 *     hello                              ->
 *                                        <-     notice ok, hello          or a notice that refuses
 *     proof over both hellos             ->
 *                                        <-     verdict, itself proved
 *
 * Both hellos carry a fresh nonce, so a recording of one handshake proves nothing in another. The role labels in the
 * proofs keep an attacker from sending a proof back as its own. Neither end believes a hello before the proof. The
 * acceptor gives every dialler a few seconds; the dialler waits as long as its signal lets it, because a rank that
 * computes is not dead. While nothing has come, however, the dialler gives the connection up now and then and dials
 * another: its hello may have been lost, and only a new connection shows whether the machine still exists.
 */
import { crc32, randomBytes, timingSafeEqual } from '#platform'
import { concatBytes, hexOf } from '../bytes.ts'
import { AdasumError, systemError } from '../errors.ts'
import { patientTimeout } from '../timing/patience.ts'
import type { Pipe } from '../transport/transport.ts'
import { CheckedPipe, type Checksums } from './checked-pipe.ts'
import { ExactReader, PipeEnded } from './exact-reader.ts'
import * as format from './handshake-format.ts'
import type { Hello, Purpose, Status } from './handshake-format.ts'
import { encryptionError, refusalError, unknownProtocol, type Claims } from './handshake-errors.ts'

/** How long an acceptor waits for a dialler's hello, and again for its proof. */
export const HANDSHAKE_TIMEOUT_MS = 5000
/** How long a dialler waits for the acceptor's hello on one connection. */
export const SILENCE_MS = 15_000
// How long a refused dialler may take to fetch the refusal.
const LINGER_MS = 1000
// Ends the handshakes of those who had to make room. Nobody is told, and in a flood an error for each would cost too much.
const MADE_ROOM = new Error('had to make room')
// Nonces of the latest handshakes; an older one cannot be replayed anyway, because the acceptor's is fresh.
const REMEMBERED_NONCES = 65_536

export interface DialIdentity {
  /** 16 bytes. */
  runId: Uint8Array
  rank: number
  size: number
  /** STORE_RANK when dialling a store. */
  peerRank: number
  purpose: Purpose
  /** The group that the connection is for, in hexadecimal; the world if absent. */
  groupId?: string
  /** Empty: none, which is for loopback only. */
  secret: string
  checksums?: Checksums | undefined
}

export interface AcceptIdentity {
  /** 16 bytes; early diallers wait until it is known. */
  runId: Uint8Array | Promise<Uint8Array>
  /** STORE_RANK for a store. */
  rank: number
  size: number
  purpose: Purpose
  secret: string
  checksums?: Checksums | undefined
  /** Nonces of diallers that have been let in, in hexadecimal; shared by all handshakes of a listener. */
  nonces: Set<string>
  /** Whether this rank may come in now, which may take a moment; if not, the dialler gets ERR_RANK_TAKEN. */
  admit?: (peerRank: number) => boolean | Promise<boolean>
}

/** Lets the acceptor follow a handshake, and end it. */
export interface HandshakeProgress {
  /** The dialler's hello has come, and may be that of a rank of this job. */
  onHello(): void
  /** Set by the handshake. Tells the dialler to try again, and ends the handshake. */
  turnAway: () => void
}

/** The rank that was let in, the group that its connection is for, and what to go on with. */
export interface Admitted {
  readonly peerRank: number
  readonly pipe: Pipe
  readonly groupId: string
}

/**
 * Proves itself to the acceptor and checks the acceptor's proof. On failure the pipe is destroyed.
 *
 * @returns the pipe to go on with, which has no sink and has lost no byte: that one, or a checked one over it
 * @throws AdasumError ERR_AUTH (secrets differ), ERR_WORLD_SIZE, ERR_RANK_TAKEN, ERR_MISMATCH (protocol, version, run,
 * rank or purpose), ERR_PEER_LOST (connection broke), ERR_TIMEOUT and ERR_NOT_READY (try again; of silence, `cause` has
 * the code ETIMEDOUT); signal.reason
 */
export async function dialHandshake(
  pipe: Pipe,
  local: DialIdentity,
  signal?: AbortSignal,
  silenceMs: number = SILENCE_MS,
): Promise<Pipe> {
  const abort = () => pipe.destroy()
  signal?.addEventListener('abort', abort, { once: true })
  let isSilent = false
  const expire = (): void => {
    isSilent = true
    pipe.destroy()
  }
  const cancel = patientTimeout(expire, silenceMs)
  try {
    signal?.throwIfAborted()
    return await introduce(pipe, local, cancel)
  } catch (error) {
    pipe.destroy()
    signal?.throwIfAborted()
    if (isSilent) throw silenceError(pipe, local, silenceMs)
    throw error instanceof PipeEnded ? brokenError(pipe, local, error) : error
  } finally {
    cancel()
    signal?.removeEventListener('abort', abort)
  }
}

/** @param onHello - called once the acceptor has introduced itself */
async function introduce(pipe: Pipe, local: DialIdentity, onHello: () => void): Promise<Pipe> {
  const reader = new ExactReader(pipe)
  const nonce = randomBytes(format.NONCE_BYTE_LENGTH)
  const wantsChecksums = wants(local, pipe)
  const mine = format.encodeHello({ ...local, role: 'dialler', nonce, wantsChecksums })
  pipe.write(mine)

  const head = await reader.read(format.PREFIX_BYTE_LENGTH)
  const prefix = format.decodePrefix(head)
  const status = prefix?.role === format.ROLE.acceptor ? format.decodeStatus(prefix.tag) : undefined
  if (prefix === undefined || status === undefined) throw unknownProtocol(pipe.remoteAddress, undefined, head)
  if (status !== 'ok') throw refusalError(status, pipe.remoteAddress, local, { version: prefix.version })
  const theirs = await reader.read(format.HELLO_BYTE_LENGTH)
  onHello()
  const hello = format.decodeHello(theirs, 'acceptor')
  if (hello === undefined) throw unknownProtocol(pipe.remoteAddress)
  // An acceptor that sends our own nonce back has nothing of its own to say.
  if (timingSafeEqual(hello.nonce, nonce)) throw refusalError('secret', pipe.remoteAddress, local)

  const seen = { diallerHello: mine, acceptorHello: theirs, channelBinding: bindingOf(pipe) }
  pipe.write(format.diallerProof(local.secret, seen))
  judge(await reader.read(format.VERDICT_BYTE_LENGTH), pipe, local, seen, hello)
  return agreedPipe(pipe, local, wantsChecksums || hello.wantsChecksums)
}

type WithChecksums = Pick<DialIdentity, 'checksums'>

function wants({ checksums }: WithChecksums, { remoteAddress }: Pipe): boolean {
  return checksums?.areWanted(remoteAddress) === true
}

function agreedPipe(pipe: Pipe, { checksums }: WithChecksums, isChecked: boolean): Pipe {
  return isChecked ? new CheckedPipe(pipe, checksums?.crc32 ?? crc32) : pipe
}

const NO_BINDING = new Uint8Array()

function bindingOf(pipe: Pipe): Uint8Array {
  return pipe.channelBinding?.() ?? NO_BINDING
}

function judge(verdict: Uint8Array, pipe: Pipe, local: DialIdentity, seen: format.Transcript, hello: Hello): void {
  const status = format.decodeStatus(verdict[0] ?? NaN)
  if (status === undefined) throw unknownProtocol(pipe.remoteAddress)
  if (!isTemporary(status) && !timingSafeEqual(verdict, format.encodeVerdict(local.secret, status, seen)))
    throw refusalError('secret', pipe.remoteAddress, local)
  // The acceptor has checked this, too, but the dialler must not rely on that.
  const agreed = status === 'ok' ? disagreement(hello, local, local.runId) : status
  if (agreed !== 'ok') throw refusalError(agreed, pipe.remoteAddress, local, hello)
}

/** Whether a dialler tries again after that status. It needs no proof: a forged one does no harm. */
function isTemporary(status: Status): status is 'slow' | 'busy' {
  return status === 'slow' || status === 'busy'
}

/** The first thing that two ends with the same secret do not agree on; `ok` if there is none. */
function disagreement(
  theirs: Hello,
  mine: { rank: number; peerRank: number; size: number; purpose: Purpose },
  runId: Uint8Array,
): Status {
  if (theirs.purpose !== mine.purpose) return 'purpose'
  if (!timingSafeEqual(theirs.runId, runId)) return 'run'
  if (theirs.size !== mine.size) return 'size'
  if (theirs.rank === mine.rank) return 'taken'
  if (theirs.rank !== mine.peerRank || theirs.peerRank !== mine.rank) return 'rank'
  return 'ok'
}

function brokenError(pipe: Pipe, local: DialIdentity, cause: Error): AdasumError {
  const differs = encryptionError(pipe.remoteAddress, local, cause.cause)
  if (differs) return differs
  return dialError('ERR_PEER_LOST', pipe, local, `broke the connection during the handshake: ${cause.message}`, cause)
}

function silenceError(pipe: Pipe, local: DialIdentity, silenceMs: number): AdasumError {
  const what = `has said nothing for ${silenceMs} ms since it was dialled`
  return dialError('ERR_TIMEOUT', pipe, local, what, systemError('ETIMEDOUT', 'no hello'))
}

function dialError(
  code: 'ERR_PEER_LOST' | 'ERR_TIMEOUT',
  { remoteAddress }: Pipe,
  { purpose, peerRank }: DialIdentity,
  what: string,
  cause: Error,
): AdasumError {
  const who = purpose === 'store' ? 'the store' : `rank ${peerRank}`
  const details = { peerRank: purpose === 'store' ? undefined : peerRank, peerAddress: remoteAddress, cause }
  return new AdasumError(code, `${who} at ${remoteAddress} ${what}`, details)
}

/**
 * Judges a dialler. A dialler that is refused is told why and its pipe closed; one that does not speak the protocol is
 * cut off. What a rank has sent behind its proof is not lost.
 *
 * @throws AdasumError with the code that the dialler gets, too
 */
export async function acceptHandshake(
  pipe: Pipe,
  local: AcceptIdentity,
  timeoutMs: number = HANDSHAKE_TIMEOUT_MS,
  progress?: HandshakeProgress,
): Promise<Admitted> {
  const judgement = new Judgement(pipe, local, () => progress?.onHello())
  const expired = new Promise<never>((_, reject) => {
    judgement.expire = () => reject(judgement.refuse('slow'))
    if (progress)
      progress.turnAway = () => {
        judgement.dismiss('busy')
        reject(MADE_ROOM)
      }
  })
  judgement.restartTimeout(timeoutMs)
  try {
    return await Promise.race([judgement.run(timeoutMs), expired])
  } catch (error) {
    if (!judgement.isRefused) pipe.destroy()
    if (!(error instanceof PipeEnded)) throw error
    throw encryptionError(pipe.remoteAddress, local, error.cause) ?? unknownProtocol(pipe.remoteAddress, error)
  } finally {
    judgement.cancelTimeout()
  }
}

class Judgement {
  cancelTimeout: () => void = () => {}
  expire: () => void = () => {}
  isRefused = false
  readonly #pipe: Pipe
  readonly #local: AcceptIdentity
  readonly #reader: ExactReader
  readonly #wantsChecksums: boolean
  readonly #onHello: () => void
  #hasGreeted = false

  constructor(pipe: Pipe, local: AcceptIdentity, helloCame: () => void) {
    this.#pipe = pipe
    this.#local = local
    this.#onHello = helloCame
    this.#reader = new ExactReader(pipe)
    this.#wantsChecksums = wants(local, pipe)
  }

  restartTimeout(timeoutMs: number): void {
    this.cancelTimeout()
    this.cancelTimeout = patientTimeout(() => this.expire(), timeoutMs)
  }

  async run(timeoutMs: number): Promise<Admitted> {
    const { secret, nonces } = this.#local
    const theirs = await this.#readHello()
    if (!this.isRefused) this.restartTimeout(timeoutMs)
    const hello = format.decodeHello(theirs, 'dialler')
    if (hello === undefined) throw unknownProtocol(this.#pipe.remoteAddress)
    const nonceName = hexOf(hello.nonce)
    if (nonces.has(nonceName)) throw this.refuse('secret')
    if (this.#isPlausible(hello)) this.#onHello()
    // The dialler expects another rank at this port. It is refused at once, without waiting for the run id.
    if (!ArrayBuffer.isView(this.#local.runId) && hello.peerRank !== this.#local.rank)
      throw this.refuse('rank', undefined, hello)

    const runId = await this.#local.runId
    const mine = this.#hello(hello, runId)
    if (this.isRefused) throw new PipeEnded(undefined)
    this.#hasGreeted = true
    this.#pipe.write(format.encodeNotice('ok'))
    this.#pipe.write(mine)

    const proof = await this.#reader.read(format.PROOF_BYTE_LENGTH)
    const seen = { diallerHello: theirs, acceptorHello: mine, channelBinding: bindingOf(this.#pipe) }
    const expected = format.diallerProof(secret, seen)
    if (this.isRefused) throw new PipeEnded(undefined)
    if (!timingSafeEqual(proof, expected) || nonces.has(nonceName)) throw this.refuse('secret')
    const status = await this.#status(hello, runId)
    if (this.isRefused) throw new PipeEnded(undefined)
    const verdict = format.encodeVerdict(secret, status, seen)
    if (status !== 'ok') throw this.refuse(status, verdict, hello)
    rememberNonce(nonces, nonceName)
    this.#pipe.write(verdict)
    const isChecked = this.#wantsChecksums || hello.wantsChecksums
    return { peerRank: hello.rank, groupId: hello.groupId, pipe: agreedPipe(this.#pipe, this.#local, isChecked) }
  }

  /** Sends the refusal and closes the pipe once it has been fetched. */
  dismiss(status: Exclude<Status, 'ok'>, verdict?: Uint8Array): void {
    this.isRefused = true
    const notice = !this.#hasGreeted ? format.encodeNotice(status) : undefined
    const unproven = isTemporary(status) ? status : 'secret'
    lingerAndClose(this.#pipe, verdict ?? notice ?? format.unprovenVerdict(unproven))
  }

  /** The same, with the error for this end. */
  refuse(status: Exclude<Status, 'ok'>, verdict?: Uint8Array, claims: Claims = {}): AdasumError {
    this.dismiss(status, verdict)
    const local = { ...this.#local, peerRank: claims.rank }
    return refusalError(status, this.#pipe.remoteAddress, local, claims)
  }

  async #readHello(): Promise<Uint8Array> {
    const head = await this.#reader.read(format.PREFIX_BYTE_LENGTH)
    const prefix = format.decodePrefix(head)
    if (prefix === undefined || prefix.role !== format.ROLE.dialler)
      throw unknownProtocol(this.#pipe.remoteAddress, undefined, head)
    if (prefix.version !== format.PROTOCOL_VERSION) throw this.refuse('version', undefined, prefix)
    const rest = await this.#reader.read(format.HELLO_BYTE_LENGTH - format.PREFIX_BYTE_LENGTH)
    return concatBytes([head, rest])
  }

  /** Whether the hello agrees with all that is known here so far; a stranger's most likely does not. */
  #isPlausible({ purpose, rank, peerRank, runId }: Hello): boolean {
    const mine = this.#local
    const isOurs =
      purpose === mine.purpose && peerRank === mine.rank && (rank < mine.size || rank === format.STORE_RANK)
    return isOurs && (!ArrayBuffer.isView(mine.runId) || timingSafeEqual(runId, mine.runId))
  }

  #hello(theirs: Hello, runId: Uint8Array): Uint8Array {
    const { rank, size, purpose } = this.#local
    const nonce = randomBytes(format.NONCE_BYTE_LENGTH)
    const { groupId } = theirs
    const wantsChecksums = this.#wantsChecksums
    const says = { purpose, rank, peerRank: theirs.rank, size, runId, groupId, nonce, wantsChecksums }
    return format.encodeHello({ role: 'acceptor', ...says })
  }

  async #status(theirs: Hello, runId: Uint8Array): Promise<Status> {
    const { rank, size, purpose, admit } = this.#local
    const status = disagreement(theirs, { rank, peerRank: theirs.rank, size, purpose }, runId)
    if (status !== 'ok') return status
    if (theirs.rank >= size) return 'rank'
    return admit === undefined || (await admit(theirs.rank)) ? 'ok' : 'taken'
  }
}

/**
 * Sends a last message and closes the pipe. Until the other end has closed, what comes is read and dropped: unread
 * bytes would make the system discard the message.
 */
export function lingerAndClose(pipe: Pipe, lastWords: Uint8Array): void {
  const cancel = patientTimeout(() => pipe.destroy(), LINGER_MS)
  const waste = new Uint8Array(4096)
  pipe.setSink({ target: () => waste, onFilled: () => {}, onEnd: () => pipe.destroy() })
  pipe.write(lastWords)
  pipe.end()
  void pipe.closed.then(cancel)
}

function rememberNonce(nonces: Set<string>, nonce: string): void {
  nonces.add(nonce)
  const [oldest] = nonces
  if (nonces.size > REMEMBERED_NONCES && oldest !== undefined) nonces.delete(oldest)
}
