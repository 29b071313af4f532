/**
 * The bytes of the handshake. Every message has a fixed size, so that nothing read before authentication is trusted as
 * a length. Numbers are big-endian.
 *
 *     prefix  (8)   magic "ADSM", version u16, role u8, then purpose (hello) or status (notice) u8
 *     hello   (77)  prefix, rank u32, peer rank u32, world size u32, run id (16), group id (8), nonce (32), flags u8
 *     notice  (8)   prefix whose last byte is a status: what the acceptor sends before its hello, or instead of it
 *     proof   (32)  HMAC-SHA-256(secret, "adasum dialler\0" || dialler's hello || acceptor's hello || channel)
 *     verdict (33)  status u8, HMAC-SHA-256(secret, "adasum acceptor\0" || status || both hellos || channel)
 *
 * `channel` is what only the two ends of an encrypted connection have (transport/tls.ts), and nothing where there is none.
 *
 * Bit 0 of the flags: this end wants checksums (checked-pipe.ts). There are some if either end does. They begin with the
 * bytes that follow the handshake.
 *
 * The prefix is the same in every version of the protocol.
 */
import { hmacSha256 } from '#platform'
import { bytesOfHex, hexOf, viewOf } from '../bytes.ts'

export const PROTOCOL_VERSION = 4
export const PREFIX_BYTE_LENGTH = 8
export const HELLO_BYTE_LENGTH = 77
export const PROOF_BYTE_LENGTH = 32
export const VERDICT_BYTE_LENGTH: number = 1 + PROOF_BYTE_LENGTH
export const RUN_ID_BYTE_LENGTH = 16
export const NONCE_BYTE_LENGTH = 32
export const GROUP_ID_BYTE_LENGTH = 8

/** The group of all ranks, in hexadecimal. */
export const WORLD_GROUP_ID: string = '00'.repeat(GROUP_ID_BYTE_LENGTH)

/** What a connection names that is for none: its two ends tell each other who has left (world/departures.ts). */
export const NEWS_GROUP_ID: string = 'ff'.repeat(GROUP_ID_BYTE_LENGTH)

/** The rank of a store, which is none. */
export const STORE_RANK = 0xffff_ffff

export const ROLE = { dialler: 1, acceptor: 2 } as const
export const PURPOSE = { peer: 1, store: 2, heartbeat: 3 } as const
export type Purpose = keyof typeof PURPOSE

/** What an acceptor says about a dialler. `slow` and `busy` mean: try again. */
export const STATUS = {
  ok: 0,
  version: 1,
  secret: 2,
  run: 3,
  size: 4,
  rank: 5,
  taken: 6,
  purpose: 7,
  slow: 8,
  busy: 9,
} as const
export type Status = keyof typeof STATUS

const MAGIC = 0x4144534d
const WANTS_CHECKSUMS = 1
const STATUS_NAMES: ReadonlyMap<number, Status> = new Map(
  Object.entries(STATUS).map(([name, code]) => [code, name as Status]),
)

export interface Prefix {
  version: number
  role: number
  /** Purpose or status. */
  tag: number
}

export interface Hello {
  role: keyof typeof ROLE
  purpose: Purpose
  rank: number
  peerRank: number
  size: number
  runId: Uint8Array
  /** The group that the connection is for, in hexadecimal; the world if absent. */
  groupId?: string | undefined
  nonce: Uint8Array
  /** False if absent. */
  wantsChecksums?: boolean
}

function encodePrefix(into: Uint8Array, role: keyof typeof ROLE, tag: number): void {
  const view = viewOf(into)
  view.setUint32(0, MAGIC)
  view.setUint16(4, PROTOCOL_VERSION)
  view.setUint8(6, ROLE[role])
  view.setUint8(7, tag)
}

/** The prefix of a hello or notice, or undefined if these are not this protocol's bytes, whatever its version. */
export function decodePrefix(bytes: Uint8Array): Prefix | undefined {
  const view = viewOf(bytes)
  if (view.getUint32(0) !== MAGIC) return undefined
  return { version: view.getUint16(4), role: view.getUint8(6), tag: view.getUint8(7) }
}

export function encodeNotice(status: Status): Uint8Array {
  const bytes = new Uint8Array(PREFIX_BYTE_LENGTH)
  encodePrefix(bytes, 'acceptor', STATUS[status])
  return bytes
}

export function encodeHello(hello: Hello): Uint8Array {
  const bytes = new Uint8Array(HELLO_BYTE_LENGTH)
  encodePrefix(bytes, hello.role, PURPOSE[hello.purpose])
  const view = viewOf(bytes)
  view.setUint32(8, hello.rank)
  view.setUint32(12, hello.peerRank)
  view.setUint32(16, hello.size)
  bytes.set(hello.runId, 20)
  bytes.set(bytesOfHex(hello.groupId ?? WORLD_GROUP_ID), 36)
  bytes.set(hello.nonce, 44)
  bytes[76] = hello.wantsChecksums === true ? WANTS_CHECKSUMS : 0
  return bytes
}

/** A hello of this version in the given role, or undefined if it is none. */
export function decodeHello(
  bytes: Uint8Array,
  role: keyof typeof ROLE,
): (Hello & { groupId: string; wantsChecksums: boolean }) | undefined {
  const prefix = decodePrefix(bytes)
  if (prefix === undefined || prefix.version !== PROTOCOL_VERSION || prefix.role !== ROLE[role]) return undefined
  const purpose = (Object.keys(PURPOSE) as Purpose[]).find((name) => PURPOSE[name] === prefix.tag)
  if (purpose === undefined) return undefined
  const view = viewOf(bytes)
  return {
    role,
    purpose,
    rank: view.getUint32(8),
    peerRank: view.getUint32(12),
    size: view.getUint32(16),
    runId: bytes.slice(20, 36),
    groupId: hexOf(bytes.subarray(36, 44)),
    nonce: bytes.slice(44, 76),
    wantsChecksums: (bytes[76]! & WANTS_CHECKSUMS) !== 0,
  }
}

export function decodeStatus(code: number): Status | undefined {
  return STATUS_NAMES.get(code)
}

/** What both ends have seen of a handshake, in its order. */
export interface Transcript {
  readonly diallerHello: Uint8Array
  readonly acceptorHello: Uint8Array
  /** What only the ends of this connection have; empty where it is not encrypted. */
  readonly channelBinding: Uint8Array
}

export function diallerProof(secret: string, { diallerHello, acceptorHello, channelBinding }: Transcript): Uint8Array {
  return hmacSha256(secret, 'adasum dialler\0', diallerHello, acceptorHello, channelBinding)
}

/** The acceptor's last message: its judgement, and the proof that it comes from somebody who has the secret. */
export function encodeVerdict(secret: string, status: Status, seen: Transcript): Uint8Array {
  const bytes = new Uint8Array(VERDICT_BYTE_LENGTH)
  bytes[0] = STATUS[status]
  const parts = [bytes.subarray(0, 1), seen.diallerHello, seen.acceptorHello, seen.channelBinding]
  bytes.set(hmacSha256(secret, 'adasum acceptor\0', ...parts), 1)
  return bytes
}

/** A verdict without a proof, for a dialler that has not proved itself either. */
export function unprovenVerdict(status: 'secret' | 'slow' | 'busy'): Uint8Array {
  const bytes = new Uint8Array(VERDICT_BYTE_LENGTH)
  bytes[0] = STATUS[status]
  return bytes
}
