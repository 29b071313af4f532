/**
 * Frames: a fixed header of 64 bytes (big-endian), then the payload.
 *
 *      0  u16  magic                 24  f64  sequence (whole number, from 1)
 *      2  u8   protocol version      32  f64  element count
 *      3  u8   kind                  40  f64  payload byte length
 *      4  u8   collective            48  u8x8 hash of the layout
 *      5  u8   op                    56  u32  segment count
 *      6  u8   dtype                 60  u32  CRC-32 of bytes 0..59
 *      7  u8   result dtype
 *      8  u8   schedule
 *      9  u8   onNonFinite
 *     10  u8   call flags
 *     11  u8   rank flags
 *     12  u16  root; of a reduction, its operator's parameter, rounded
 *     14  u16  step
 *     16  f64  CREDIT frames: bytes consumed since the last report; DATA and OFFER frames: weight of the sending rank, in
 *              calls that have weights
 *
 * Bytes 4..13, 32..39 and 48..59 are the descriptor of the collective. Every DATA, READY, CALL and OFFER frame carries
 * it, so that a call which differs between ranks is noticed at its first frame, at no extra round trip.
 */
import { crc32 } from '#platform'
import { viewOf } from '../bytes.ts'
import { AdasumError } from '../errors.ts'
import { isWeight } from '../tensor/weights.ts'

export const HEADER_BYTE_LENGTH: number = 64
export const PROTOCOL_VERSION: number = 1
const MAGIC = 0xada5

/** Payloads up to this length are sent at once, against credit; larger ones wait for READY. */
export const EAGER_BYTE_LENGTH: number = 64 << 10
/** How many eager bytes (headers included) may be under way to a peer that it has not consumed. */
export const CREDIT_BYTE_LENGTH: number = 1 << 20
/** Largest ABORT payload. */
export const ABORT_BYTE_LENGTH: number = 4 << 10

export const FRAME_KINDS = {
  data: 1,
  ready: 2,
  credit: 3,
  abort: 4,
  goodbye: 5,
  call: 6,
  offer: 7,
  done: 8,
  join: 9,
} as const
export type FrameKind = keyof typeof FRAME_KINDS
const KIND_NAMES = new Map<number, FrameKind>(
  Object.entries(FRAME_KINDS).map(([name, code]) => [code, name as FrameKind]),
)

/** What all ranks of a collective must agree on. */
export interface Descriptor {
  readonly collective: number
  readonly op: number
  readonly dtype: number
  readonly resultDtype: number
  readonly schedule: number
  readonly onNonFinite: number
  readonly flags: number
  readonly root: number
  readonly elementCount: number
  readonly segmentCount: number
  /** 8 bytes. */
  readonly layoutHash: Uint8Array
}

export interface FrameHeader {
  readonly kind: FrameKind
  /**
   * Number of the collective in its group; GOODBYE: of the last one; ABORT: of the one that failed; JOIN: of the first one
   * that the sender does not call.
   */
  readonly sequence: number
  readonly step: number
  /** Flags about the sending rank; bit 0: its input is not finite. */
  readonly rankFlags: number
  /** How much the sending rank's input counts; 0 in frames that say nothing of it. */
  readonly weight: number
  readonly payloadByteLength: number
  readonly credit: number
  readonly descriptor: Descriptor
}

/** Whether frames of a kind have the sender's weight where others have a credit. */
function hasWeight(kind: FrameKind): boolean {
  return kind === 'data' || kind === 'offer'
}

export const NO_DESCRIPTOR: Descriptor = {
  collective: 0,
  op: 0,
  dtype: 0,
  resultDtype: 0,
  schedule: 0,
  onNonFinite: 0,
  flags: 0,
  root: 0,
  elementCount: 0,
  segmentCount: 0,
  layoutHash: new Uint8Array(8),
}

/** Writes the header into the first 64 bytes of `target`. */
export function encodeHeader(header: FrameHeader, target: Uint8Array): void {
  const { descriptor } = header
  const view = viewOf(target)
  view.setUint16(0, MAGIC)
  target[2] = PROTOCOL_VERSION
  target[3] = FRAME_KINDS[header.kind]
  target[4] = descriptor.collective
  target[5] = descriptor.op
  target[6] = descriptor.dtype
  target[7] = descriptor.resultDtype
  target[8] = descriptor.schedule
  target[9] = descriptor.onNonFinite
  target[10] = descriptor.flags
  target[11] = header.rankFlags
  view.setUint16(12, descriptor.root)
  view.setUint16(14, header.step)
  view.setFloat64(16, hasWeight(header.kind) ? header.weight : header.credit)
  view.setFloat64(24, header.sequence)
  view.setFloat64(32, descriptor.elementCount)
  view.setFloat64(40, header.payloadByteLength)
  target.set(descriptor.layoutHash, 48)
  view.setUint32(56, descriptor.segmentCount)
  view.setUint32(60, crc32(target.subarray(0, 60)))
}

function damagedFrameError(what: string): AdasumError {
  return new AdasumError('ERR_MISMATCH', `a damaged frame: ${what}. Run the same version of adasum on every rank.`)
}

/** Reads 64 bytes; throws ERR_MISMATCH if they are no header of this protocol version. */
export function decodeHeader(bytes: Uint8Array): FrameHeader {
  const view = viewOf(bytes)
  if (view.getUint16(0) !== MAGIC)
    throw damagedFrameError(`magic 0x${view.getUint16(0).toString(16)}, expected 0x${MAGIC.toString(16)}`)
  if (bytes[2] !== PROTOCOL_VERSION)
    throw damagedFrameError(`protocol version ${bytes[2]}, expected ${PROTOCOL_VERSION}`)
  const [stored, computed] = [view.getUint32(60), crc32(bytes.subarray(0, 60))]
  if (stored !== computed) throw damagedFrameError(`header checksum ${stored}, computed ${computed}`)
  const kind = KIND_NAMES.get(bytes[3]!)
  if (!kind) throw damagedFrameError(`unknown kind ${bytes[3]}`)
  return {
    kind,
    step: view.getUint16(14),
    rankFlags: bytes[11]!,
    weight: hasWeight(kind) ? readWeight(view) : 0,
    credit: hasWeight(kind) ? 0 : readWholeNumber(view, 16, 'credit'),
    sequence: readWholeNumber(view, 24, 'sequence'),
    payloadByteLength: readWholeNumber(view, 40, 'payload byte length'),
    descriptor: decodeDescriptor(bytes, view),
  }
}

function decodeDescriptor(bytes: Uint8Array, view: DataView): Descriptor {
  return {
    collective: bytes[4]!,
    op: bytes[5]!,
    dtype: bytes[6]!,
    resultDtype: bytes[7]!,
    schedule: bytes[8]!,
    onNonFinite: bytes[9]!,
    flags: bytes[10]!,
    root: view.getUint16(12),
    elementCount: readWholeNumber(view, 32, 'element count'),
    segmentCount: view.getUint32(56),
    layoutHash: new Uint8Array(bytes.subarray(48, 56)),
  }
}

function readWholeNumber(view: DataView, offset: number, what: string): number {
  const value = view.getFloat64(offset)
  if (!Number.isSafeInteger(value) || value < 0) throw damagedFrameError(`${what} ${value}`)
  return value
}

function readWeight(view: DataView): number {
  const weight = view.getFloat64(16)
  if (!isWeight(weight)) throw damagedFrameError(`weight ${weight}`)
  return weight
}

export function sameDescriptor(a: Descriptor, b: Descriptor): boolean {
  return (
    a.collective === b.collective &&
    a.op === b.op &&
    a.dtype === b.dtype &&
    a.resultDtype === b.resultDtype &&
    a.schedule === b.schedule &&
    a.onNonFinite === b.onNonFinite &&
    a.flags === b.flags &&
    a.root === b.root &&
    a.elementCount === b.elementCount &&
    a.segmentCount === b.segmentCount &&
    a.layoutHash.every((byte, i) => byte === b.layoutHash[i])
  )
}
