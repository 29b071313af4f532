/** Node.js. */
import { createHash, createHmac, randomBytes as randomBuffer, timingSafeEqual } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import { availableParallelism } from 'node:os'
import { crc32 } from 'node:zlib'
import type { Platform } from './platform.ts'

export { crc32, timingSafeEqual }

export const sha256: Platform['sha256'] = (...parts) => {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest()
}

export const hmacSha256: Platform['hmacSha256'] = (key, ...parts) => {
  const hmac = createHmac('sha256', key)
  for (const part of parts) hmac.update(part)
  return hmac.digest()
}

export const randomBytes: Platform['randomBytes'] = (byteLength) => randomBuffer(byteLength)

export const uninitializedBytes: Platform['uninitializedBytes'] = (byteLength) => Buffer.allocUnsafe(byteLength)

export const nextTurn: Platform['nextTurn'] = () => new Promise((resolve) => void setImmediate(resolve))

export const coreCount: Platform['coreCount'] = () => availableParallelism()

export const emitWarning: Platform['emitWarning'] = (message, code) =>
  process.emitWarning(message, { type: 'AdasumWarning', code })

export const allowManyListeners: Platform['allowManyListeners'] = (signal) => setMaxListeners(0, signal)
