/**
 * Offers, as an OFFER frame carries them (big-endian):
 *
 *     u32 state word, u32 generation, then the parts of the message in order, each one of
 *     u8 1, u8x16 tag, u32 pid, u32 fd, f64 byte length of the segment, f64 offset, f64 byte length
 *     u8 2, u32 byte length, the bytes
 *
 * No bytes at all: the message is ready, but does not lie in shared memory; it comes through the connection, once it is asked
 * for.
 */
import { TAG_BYTE_LENGTH } from '../binding/shared-memory.ts'
import { AdasumError, reasonOf } from '../errors.ts'
import type { Location, Offer } from '../transport/shared-memory.ts'

/** Largest OFFER payload. */
export const OFFER_BYTE_LENGTH: number = 64 << 10

const LOCATED = 1
const ALONG = 2
const HEAD_BYTE_LENGTH = 8
const LOCATION_BYTE_LENGTH = TAG_BYTE_LENGTH + 4 + 4 + 3 * 8

export function encodeOffer({ word, generation, items }: Offer): Buffer {
  const head = Buffer.allocUnsafe(HEAD_BYTE_LENGTH)
  head.writeUInt32BE(word, 0)
  head.writeUInt32BE(generation, 4)
  return Buffer.concat([head, ...items.flatMap((item) => (ArrayBuffer.isView(item) ? along(item) : located(item)))])
}

function along(bytes: Uint8Array): Uint8Array[] {
  const head = Buffer.allocUnsafe(5)
  head[0] = ALONG
  head.writeUInt32BE(bytes.length, 1)
  return [head, bytes]
}

function located({ tag, pid, fd, segmentByteLength, offset, byteLength }: Location): Uint8Array[] {
  const bytes = Buffer.allocUnsafe(1 + LOCATION_BYTE_LENGTH)
  bytes[0] = LOCATED
  bytes.set(tag, 1)
  const numbers = 1 + TAG_BYTE_LENGTH
  bytes.writeUInt32BE(pid, numbers)
  bytes.writeUInt32BE(fd, numbers + 4)
  bytes.writeDoubleBE(segmentByteLength, numbers + 8)
  bytes.writeDoubleBE(offset, numbers + 16)
  bytes.writeDoubleBE(byteLength, numbers + 24)
  return [bytes]
}

/** @throws AdasumError ERR_MISMATCH */
export function decodeOffer(bytes: Uint8Array): Offer {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  const items: (Location | Uint8Array)[] = []
  try {
    for (let at = HEAD_BYTE_LENGTH; at < buffer.length;) {
      const [item, end] = buffer[at] === LOCATED ? locationAt(buffer, at + 1) : bytesAt(buffer, at)
      items.push(item)
      at = end
    }
    return { word: buffer.readUInt32BE(0), generation: buffer.readUInt32BE(4), items }
  } catch (cause) {
    throw damaged(cause)
  }
}

function locationAt(buffer: Buffer, at: number): [Location, end: number] {
  const numbers = at + TAG_BYTE_LENGTH
  const location = {
    tag: new Uint8Array(buffer.subarray(at, numbers)),
    pid: buffer.readUInt32BE(numbers),
    fd: buffer.readUInt32BE(numbers + 4),
    segmentByteLength: wholeNumber(buffer, numbers + 8),
    offset: wholeNumber(buffer, numbers + 16),
    byteLength: wholeNumber(buffer, numbers + 24),
  }
  return [location, at + LOCATION_BYTE_LENGTH]
}

function bytesAt(buffer: Buffer, at: number): [Uint8Array, end: number] {
  if (buffer[at] !== ALONG) throw new RangeError(`part of kind ${buffer[at]}`)
  const begin = at + 5
  const end = begin + buffer.readUInt32BE(at + 1)
  if (end > buffer.length) throw new RangeError(`${end} bytes of ${buffer.length}`)
  // A copy, since kernels read it and have it begin at a multiple of the element's size.
  return [new Uint8Array(buffer.subarray(begin, end)), end]
}

function wholeNumber(buffer: Buffer, at: number): number {
  const value = buffer.readDoubleBE(at)
  if (Number.isSafeInteger(value) && value >= 0) return value
  throw new RangeError(`length or offset ${value}`)
}

function damaged(cause: unknown): AdasumError {
  const what = reasonOf(cause)
  return new AdasumError(
    'ERR_MISMATCH',
    `A peer sent a damaged offer: ${what}. Run the same version of adasum on every rank.`,
    { cause },
  )
}
