/**
 * Browsers, in pages and workers. Hashes are computed here, because WebCrypto's are asynchronous, and absent from pages
 * that were loaded over http from another machine.
 */
import { hmac } from '@noble/hashes/hmac.js'
import { sha256 as noble } from '@noble/hashes/sha2.js'
import type { Platform } from './platform.ts'

interface MessagePort {
  onmessage: (() => void) | null
  postMessage(message: undefined): void
}

/** The globals of a browser that are used here. */
interface Web {
  /** Exists in Node.js only, where the browser build runs, too. */
  readonly setImmediate?: (callback: () => void) => unknown
  readonly MessageChannel: new () => { readonly port1: MessagePort; readonly port2: MessagePort }
  readonly navigator?: { readonly hardwareConcurrency?: number }
}

const web = globalThis as unknown as Web
const utf8 = new TextEncoder()
const bytesOf = (part: Uint8Array | string): Uint8Array => (typeof part === 'string' ? utf8.encode(part) : part)

export const sha256: Platform['sha256'] = (...parts) => {
  const hash = noble.create()
  for (const part of parts) hash.update(bytesOf(part))
  return hash.digest()
}

export const hmacSha256: Platform['hmacSha256'] = (key, ...parts) => {
  const code = hmac.create(noble, utf8.encode(key))
  for (const part of parts) code.update(bytesOf(part))
  return code.digest()
}

/** Remainders of the polynomial 0xedb88320 (reflected), by byte. */
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte
  for (let bit = 0; bit < 8; bit++) remainder = remainder & 1 ? (remainder >>> 1) ^ 0xedb88320 : remainder >>> 1
  return remainder
})

export const crc32: Platform['crc32'] = (bytes) => {
  let crc = 0xffffffff
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 0xff]! ^ (crc >>> 8)
  return ~crc >>> 0
}

/** The most that a browser gives at a time. */
const RANDOM_BYTE_LENGTH = 65_536

export const randomBytes: Platform['randomBytes'] = (byteLength) => {
  const bytes = new Uint8Array(byteLength)
  for (let at = 0; at < byteLength; at += RANDOM_BYTE_LENGTH)
    crypto.getRandomValues(bytes.subarray(at, at + RANDOM_BYTE_LENGTH))
  return bytes
}

export const timingSafeEqual: Platform['timingSafeEqual'] = (a, b) => {
  if (a.length !== b.length) throw new RangeError(`${a.length} and ${b.length} bytes to compare`)
  let difference = 0
  for (let i = 0; i < a.length; i++) difference |= a[i]! ^ b[i]!
  return difference === 0
}

export const uninitializedBytes: Platform['uninitializedBytes'] = (byteLength) => new Uint8Array(byteLength)

/**
 * Turns by messages, each of which takes one. Timers would do, too, but browsers delay nested ones by four
 * milliseconds.
 */
function turnsOfMessages(): Platform['nextTurn'] {
  const { port1, port2 } = new web.MessageChannel()
  const waiting: (() => void)[] = []
  port1.onmessage = () => waiting.shift()?.()
  return () =>
    new Promise((resolve) => {
      waiting.push(resolve)
      port2.postMessage(undefined)
    })
}

let turns: Platform['nextTurn'] | undefined

/** In Node.js this uses setImmediate, because an open message channel would keep the process alive. */
export const nextTurn: Platform['nextTurn'] = () => {
  const { setImmediate } = web
  if (setImmediate) return new Promise((resolve) => void setImmediate(resolve))
  return (turns ??= turnsOfMessages())()
}

export const coreCount: Platform['coreCount'] = () => web.navigator?.hardwareConcurrency ?? 1

export const emitWarning: Platform['emitWarning'] = (message, code) =>
  console.warn(`AdasumWarning [${code}]: ${message}`)

export const allowManyListeners: Platform['allowManyListeners'] = () => undefined
