/**
 * What a store and its ranks say to each other once they have authenticated: JSON, each message behind its length (u32,
 * big-endian). Lengths are limited, and every field is checked before anything is believed.
 */
import { printable } from '../../../printable.ts'
import type { Sink } from '../../../transport/transport.ts'
import { type Tuning, tuningFrom } from '../../../tuning.ts'
import { isFailureTimeout } from '../../failure-timeout-setting.ts'
import { LONGEST_REASON, type Refusals } from '../../refusals.ts'
import type { Absence, PeerAddress, Roster } from '../store.ts'

/** A start message of the largest world fits. */
export const MAX_MESSAGE_BYTE_LENGTH: number = 160 * 1024
const LENGTH_BYTE_LENGTH = 4

/**
 * A rank to the store: where it listens, on which machine it runs, and its tuning and time limit. The handshake has
 * proved its rank.
 */
export interface JoinMessage extends PeerAddress {
  readonly type: 'join'
  /** Equal for the processes of one machine: 32 hexadecimal digits. */
  readonly machine: string
  readonly tuning: Tuning
  readonly failureTimeoutMs: number
}

/** A rank to the store, which has asked for a sign of life. */
export interface PongMessage {
  readonly type: 'pong'
}

export type RankMessage = JoinMessage | PongMessage

/** The store to a rank whose place another process claims: it keeps the place if it answers soon. */
export interface PingMessage {
  readonly type: 'ping'
}

/** The store to the ranks that have come: which ranks are missing, and what may be the reason. */
export interface WaitingMessage extends Absence {
  readonly type: 'waiting'
}

/** The store to all ranks, once all have come. */
export interface StartMessage extends Roster {
  readonly type: 'start'
}

export type StoreMessage = WaitingMessage | StartMessage | PingMessage

export function encodeMessage(message: RankMessage | StoreMessage): Uint8Array {
  const body = Buffer.from(JSON.stringify(message))
  const bytes = Buffer.allocUnsafe(LENGTH_BYTE_LENGTH + body.length)
  bytes.writeUInt32BE(body.length)
  bytes.set(body, LENGTH_BYTE_LENGTH)
  return bytes
}

export interface MessageHandler {
  onMessage(value: unknown): void
  /** The bytes are no messages; nothing more is reported. */
  onMalformed(error: Error): void
  onEnd(error?: Error): void
}

/** Cuts a stream into messages, however it arrives. */
export class MessageDecoder implements Sink {
  readonly #handler: MessageHandler
  readonly #header: Buffer = Buffer.alloc(LENGTH_BYTE_LENGTH)
  #body: Buffer | null = null
  #filled = 0
  #isBroken = false

  constructor(handler: MessageHandler) {
    this.#handler = handler
  }

  target(): Uint8Array {
    // What follows malformed bytes is read and dropped.
    return this.#isBroken ? this.#header : (this.#body ?? this.#header).subarray(this.#filled)
  }

  onFilled(byteLength: number): void {
    if (this.#isBroken) return
    this.#filled += byteLength
    if (this.#filled < (this.#body ?? this.#header).length) return
    this.#filled = 0
    const body = this.#body
    if (body === null) return this.#open(this.#header.readUInt32BE())
    this.#body = null
    let value: unknown
    try {
      value = JSON.parse(body.toString())
    } catch {
      return this.#fail(`a message of ${body.length} bytes is not JSON`)
    }
    this.#handler.onMessage(value)
  }

  onEnd(error?: Error): void {
    if (!this.#isBroken) this.#handler.onEnd(error)
  }

  #open(byteLength: number): void {
    if (byteLength < 2 || byteLength > MAX_MESSAGE_BYTE_LENGTH)
      return this.#fail(`a message claims ${byteLength} bytes, 2 to ${MAX_MESSAGE_BYTE_LENGTH} are allowed`)
    this.#body = Buffer.alloc(byteLength)
  }

  #fail(message: string): void {
    this.#isBroken = true
    this.#handler.onMalformed(new Error(message))
  }
}

type Fields = Record<string, unknown>

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isWhole(value: unknown, below: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < below
}

function isPort(value: unknown): value is number {
  return isWhole(value, 65536) && value > 0
}

function isId(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9a-f]{32}$/.test(value)
}

function parsePeer(value: unknown): PeerAddress | undefined {
  if (!isObject(value)) return undefined
  const { host, port, sharesMemory, unixKey, heartbeatPort } = value
  if (typeof host !== 'string' || !/^[\w.:%-]{1,255}$/.test(host)) return undefined
  if (sharesMemory !== undefined && sharesMemory !== true) return undefined
  if (unixKey !== undefined && !isId(unixKey)) return undefined
  if (!isPort(port) || (heartbeatPort !== undefined && !isPort(heartbeatPort))) return undefined
  return addressOf({ host, port, sharesMemory, unixKey, heartbeatPort })
}

/** The fields of a rank's message that its peers are told. */
export function addressOf({ host, port, sharesMemory, unixKey, heartbeatPort }: PeerAddress): PeerAddress {
  const near = { ...(sharesMemory && { sharesMemory }), ...(unixKey && { unixKey }) }
  return { host, port, ...near, ...(heartbeatPort && { heartbeatPort }) }
}

/** A rank's message in `value`, or undefined if it is none. */
export function parseRankMessage(value: unknown): RankMessage | undefined {
  if (!isObject(value)) return undefined
  if (value['type'] === 'pong') return { type: 'pong' }
  return value['type'] === 'join' ? parseJoin(value) : undefined
}

function parseJoin(fields: Fields): JoinMessage | undefined {
  const address = parsePeer(fields)
  if (address === undefined || !isId(fields['machine'])) return undefined
  const { failureTimeoutMs } = fields
  const tuning = tuningFrom(fields['tuning'])
  if (tuning === undefined || !isFailureTimeout(failureTimeoutMs)) return undefined
  return { type: 'join', ...address, machine: fields['machine'], tuning, failureTimeoutMs }
}

/** The store's message in `value` to a rank of a world of `size`, or undefined if it is none. */
export function parseStoreMessage(value: unknown, size: number): StoreMessage | undefined {
  if (!isObject(value)) return undefined
  if (value['type'] === 'ping') return { type: 'ping' }
  if (value['type'] === 'waiting') return parseWaiting(value, size)
  return value['type'] === 'start' ? parseStart(value, size) : undefined
}

function parseWaiting(fields: Fields, size: number): WaitingMessage | undefined {
  const [missing, left] = [parseRanks(fields['missing'], size), parseRanks(fields['left'], size)]
  const refusals = parseRefusals(fields['refusals'])
  if (missing === undefined || left === undefined || refusals === undefined) return undefined
  return { type: 'waiting', missing, left, refusals }
}

/** A list of ranks; never all of them, since the rank that gets the message has come. */
function parseRanks(value: unknown, size: number): number[] | undefined {
  if (!Array.isArray(value) || value.length >= size) return undefined
  const ranks = value.filter((rank) => isWhole(rank, size))
  return ranks.length === value.length ? ranks : undefined
}

function parseRefusals(value: unknown): Refusals | undefined {
  if (!isObject(value)) return undefined
  const { count, last } = value
  if (!isWhole(count, Number.MAX_SAFE_INTEGER) || typeof last !== 'string') return undefined
  return last.length <= LONGEST_REASON ? { count, last: printable(last, LONGEST_REASON) } : undefined
}

function parseStart(fields: Fields, size: number): StartMessage | undefined {
  const { runId, peers, failureTimeoutMs } = fields
  if (!isId(runId) || !Array.isArray(peers) || peers.length !== size) return undefined
  const addresses = peers.map(parsePeer).filter((peer) => peer !== undefined)
  const machines = parseMachines(fields['machines'], size)
  const tuning = tuningFrom(fields['tuning'])
  if (addresses.length !== size || machines === undefined || tuning === undefined) return undefined
  if (!isFailureTimeout(failureTimeoutMs)) return undefined
  return { type: 'start', runId, peers: addresses, machines, tuning, failureTimeoutMs }
}

/**
 * Machine numbers by rank. A new machine always has the next number, so each world numbers its machines in one way
 * only.
 */
function parseMachines(value: unknown, size: number): number[] | undefined {
  if (!Array.isArray(value) || value.length !== size) return undefined
  let known = 0
  const machines = value.filter((machine) => {
    const isKnown = isWhole(machine, known + 1)
    if (machine === known) known += 1
    return isKnown
  })
  return machines.length === size ? machines : undefined
}
