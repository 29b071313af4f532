/** The errors of refused handshakes. */
import { AdasumError } from '../errors.ts'
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

export function unknownProtocol(address: string, cause?: Error): AdasumError {
  const why = cause === undefined ? 'does not speak the adasum protocol' : 'left before the handshake was complete'
  const message = `${address} ${why}: check the address and port, another program may be there`
  return new AdasumError('ERR_MISMATCH', message, { peerAddress: address, cause })
}

export function refusalError(
  status: Exclude<Status, 'ok'>,
  address: string,
  local: Local,
  claims: Claims = {},
): AdasumError {
  const peerRank = local.peerRank === STORE_RANK ? undefined : local.peerRank
  const details = { rank: local.rank === STORE_RANK ? undefined : local.rank, peerRank, peerAddress: address }
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
      return ['ERR_AUTH', `${there} and ${here} have different secrets: give all ranks the same ADASUM_SECRET`]
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
