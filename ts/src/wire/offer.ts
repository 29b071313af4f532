/**
 * Offers, as an OFFER frame carries them (big-endian):
 *
 *     u32 state word, u32 generation, then the parts of the message in order, each one of
 *     u8 1, u8x16 tag, u32 pid, u32 fd, f64 byte length of the segment, f64 offset, f64 byte length
 *     u8 2, u32 byte length, the bytes
 *
 * An empty body means that the message is ready but does not lie in shared memory: the receiver asks for it with READY,
 * and it comes through the connection.
 */
import { TAG_BYTE_LENGTH } from '../binding/shared-memory.ts'
import { concatBytes, viewOf } from '../bytes.ts'
import { AdasumError, reasonOf } from '../errors.ts'
import type { Location, Offer } from '../shared-memory/offer.ts'

/** Largest OFFER payload. */
export const OFFER_BYTE_LENGTH: number = 64 << 10

const LOCATED = 1
const ALONG = 2
const HEAD_BYTE_LENGTH = 8
const LOCATION_BYTE_LENGTH = TAG_BYTE_LENGTH + 4 + 4 + 3 * 8

export function encodeOffer({ word, generation, items }: Offer): Uint8Array {
  const head = new Uint8Array(HEAD_BYTE_LENGTH)
  const view = viewOf(head)
  view.setUint32(0, word)
  view.setUint32(4, generation)
  return concatBytes([head, ...items.flatMap((item) => (ArrayBuffer.isView(item) ? along(item) : located(item)))])
}

function along(bytes: Uint8Array): Uint8Array[] {
  const head = new Uint8Array(5)
  head[0] = ALONG
  viewOf(head).setUint32(1, bytes.length)
  return [head, bytes]
}

function located({ tag, pid, fd, segmentByteLength, offset, byteLength }: Location): Uint8Array[] {
  const bytes = new Uint8Array(1 + LOCATION_BYTE_LENGTH)
  bytes[0] = LOCATED
  bytes.set(tag, 1)
  const view = viewOf(bytes.subarray(1 + TAG_BYTE_LENGTH))
  view.setUint32(0, pid)
  view.setUint32(4, fd)
  view.setFloat64(8, segmentByteLength)
  view.setFloat64(16, offset)
  view.setFloat64(24, byteLength)
  return [bytes]
}

/** @throws AdasumError ERR_MISMATCH */
export function decodeOffer(bytes: Uint8Array): Offer {
  const view = viewOf(bytes)
  const items: (Location | Uint8Array)[] = []
  try {
    for (let at = HEAD_BYTE_LENGTH; at < bytes.length;) {
      const [item, end] = bytes[at] === LOCATED ? locationAt(bytes, at + 1) : bytesAt(bytes, at)
      items.push(item)
      at = end
    }
    return { word: view.getUint32(0), generation: view.getUint32(4), items }
  } catch (cause) {
    throw damaged(cause)
  }
}

function locationAt(bytes: Uint8Array, at: number): [Location, end: number] {
  const view = viewOf(bytes)
  const numbers = at + TAG_BYTE_LENGTH
  const location = {
    tag: new Uint8Array(bytes.subarray(at, numbers)),
    pid: view.getUint32(numbers),
    fd: view.getUint32(numbers + 4),
    segmentByteLength: wholeNumber(view, numbers + 8),
    offset: wholeNumber(view, numbers + 16),
    byteLength: wholeNumber(view, numbers + 24),
  }
  return [location, at + LOCATION_BYTE_LENGTH]
}

function bytesAt(bytes: Uint8Array, at: number): [Uint8Array, end: number] {
  if (bytes[at] !== ALONG) throw new RangeError(`part of kind ${bytes[at]}`)
  const begin = at + 5
  const end = begin + viewOf(bytes).getUint32(at + 1)
  if (end > bytes.length) throw new RangeError(`${end} bytes of ${bytes.length}`)
  // A copy, since kernels read it and have it begin at a multiple of the element's size. (Not slice: a Buffer's is a
  // view.)
  return [new Uint8Array(bytes.subarray(begin, end)), end]
}

function wholeNumber(view: DataView, at: number): number {
  const value = view.getFloat64(at)
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
