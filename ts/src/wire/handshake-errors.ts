/** The errors of refused handshakes. */
import { AdasumError } from '../errors.ts'
import { tlsFailureOf } from '../transport/tls-failure.ts'
import { PROTOCOL_VERSION, STORE_RANK, type Hello, type Purpose, type Status } from './handshake-format.ts'

/** The end that throws the error. `peerRank` is the rank that it dialled, or that dialled it, if that is known. */
interface Local {
  rank: number
  size: number
  purpose: Purpose
  peerRank?: number | undefined
}

/** What the other end has said of itself, as far as it has come. It may be wrong. */
export type Claims = Partial<Pick<Hello, 'rank' | 'size' | 'purpose'>> & { version?: number }

/** The first bytes of a record of TLS: an alert, or a handshake. */
const TLS_RECORDS = [0x15, 0x16]

/** @param head - the first bytes that came from there */
export function unknownProtocol(address: string, cause?: Error, head?: Uint8Array): AdasumError {
  if (TLS_RECORDS.includes(head?.[0] ?? NaN))
    return new AdasumError('ERR_MISMATCH', onlyThere(address), { peerAddress: address, cause })
  const why = cause === undefined ? 'does not speak the adasum protocol' : 'left before the handshake was complete'
  const message = `${address} ${why}: check the address and port, another program may be there`
  return new AdasumError('ERR_MISMATCH', message, { peerAddress: address, cause })
}

/**
 * The error of a connection that broke since its ends did not come to encrypt; undefined if it broke for another reason.
 *
 * @param cause - the system's error
 */
export function encryptionError(
  address: string,
  local: Pick<Local, 'rank' | 'peerRank'>,
  cause: unknown,
): AdasumError | undefined {
  const failure = tlsFailureOf(cause)
  if (failure === undefined) return undefined
  const details = { ...ranksIn(local), peerAddress: address, cause }
  const words = (cause as Error).message
  switch (failure) {
    case 'secret':
      return new AdasumError('ERR_AUTH', secretsDiffer(address, 'this rank'), details)
    case 'plain':
      return new AdasumError('ERR_MISMATCH', onlyHere(address), details)
    case 'certificate':
      return new AdasumError('ERR_AUTH', `${address} and this rank do not accept each other's certificates (${words}): let one authority sign those of all ranks`, details) // prettier-ignore
    case 'other':
      return new AdasumError('ERR_AUTH', `${address} and this rank could not agree on encryption (${words}): give all ranks the same option "tls"`, details) // prettier-ignore
  }
}

const SAME_TLS = 'give all ranks the same option "tls"; where a proxy or tunnel forwards connections, "psk"'

const onlyThere = (address: string): string => `${address} encrypts, and this end does not: ${SAME_TLS}`

const onlyHere = (address: string): string => `${address} does not encrypt, and this end does: ${SAME_TLS}`

const secretsDiffer = (there: string, here: string): string =>
  `${there} and ${here} have different secrets: give all ranks the same ADASUM_SECRET`

/** The ranks of both ends, as far as they are ranks. */
function ranksIn({ rank, peerRank }: Pick<Local, 'rank' | 'peerRank'>): {
  rank: number | undefined
  peerRank: number | undefined
} {
  const known = (value: number | undefined): number | undefined => (value === STORE_RANK ? undefined : value)
  return { rank: known(rank), peerRank: known(peerRank) }
}

export function refusalError(
  status: Exclude<Status, 'ok'>,
  address: string,
  local: Local,
  claims: Claims = {},
): AdasumError {
  const details = { ...ranksIn(local), peerAddress: address }
  const here = local.rank === STORE_RANK ? 'the store' : `rank ${local.rank}`
  const there = local.peerRank === undefined ? address : `${nameOf(local.peerRank)} (${address})`
  const [code, message] = codeAndMessage(status, here, there, local, claims)
  return new AdasumError(code, message, details)
}

function nameOf(rank: number): string {
  return rank === STORE_RANK ? 'the store' : `rank ${rank}`
}

function codeAndMessage(
  status: Exclude<Status, 'ok'>,
  here: string,
  there: string,
  local: Local,
  claims: Claims,
): [AdasumError['code'], string] {
  switch (status) {
    case 'version':
      return [
        'ERR_MISMATCH',
        `${there} speaks protocol version ${claims.version ?? 'unknown'}, ${here} version ${PROTOCOL_VERSION}: use one version of adasum on all ranks`,
      ]
    case 'secret':
      return ['ERR_AUTH', secretsDiffer(there, here)]
    case 'run':
      return ['ERR_MISMATCH', `${there} belongs to another run than ${here}: give each job its own store address`]
    case 'size':
      return [
        'ERR_WORLD_SIZE',
        `${there} has world size ${claims.size}, ${here} ${local.size}: start all ranks with the same size`,
      ]
    case 'rank':
      return [
        'ERR_MISMATCH',
        `${there} and ${here} disagree about who they are: ranks must be 0 to ${local.size - 1}, each at its own address`,
      ]
    case 'taken':
      if (local.rank === STORE_RANK && local.peerRank === STORE_RANK)
        return ['ERR_RANK_TAKEN', `two processes want to host ${there}: give each process its own rank`]
      return ['ERR_RANK_TAKEN', `${here} and ${there}: this rank is connected already: give each process its own rank`]
    case 'purpose':
      return [
        'ERR_MISMATCH',
        `${there} is a ${claims.purpose ?? 'different'} port, dialled as a ${local.purpose} port: check the store's address`,
      ]
    case 'slow':
      return ['ERR_TIMEOUT', `the handshake between ${here} and ${there} took too long`]
    case 'busy':
      return ['ERR_NOT_READY', `${here} and ${there}: too many connections are in handshakes there: try again`]
  }
}
