/**
 * A pipe whose bytes travel in records with checksums, for connections that others can reach and that are not encrypted.
 * Network hardware that damages packets after their own checksums were made goes unnoticed by TCP, and a changed gradient
 * by everybody. It is no protection from somebody who changes bytes on purpose, and makes the checksums anew.
 *
 *     head (12)    byte length of the payload u32, CRC-32 of the payload u32, CRC-32 of these 8 bytes and the record's
 *                  number u32; big-endian
 *     payload      1 byte to RECORD_BYTE_LENGTH
 *
 * Numbers count from 0 and are not sent, so that bytes that are left out, come twice or in another order are noticed as
 * well. The head has a checksum of its own: a length that was changed would make this end wait for bytes that nobody
 * sends.
 *
 * A sink is told of bytes only when the checksum of their record has been compared: what it computes from them goes on to
 * other ranks at once. Where the sink has memory for a whole record the bytes are read straight into it all the same.
 */
import { uninitializedBytes } from '#platform'
import { concatBytes, viewOf } from '../bytes.ts'
import { systemError } from '../errors.ts'
import { Intake } from '../transport/intake.ts'
import type { Pipe, Sink } from '../transport/transport.ts'

/** As long as a stripe (transport/striped.ts), which is written as one record then. */
export const RECORD_BYTE_LENGTH: number = 256 << 10
export const HEAD_BYTE_LENGTH = 12
/** Up to this length a payload is copied behind its head, which is cheaper than a write of its own. */
const COPIED_BYTE_LENGTH = 4096
/** For bytes whose destination has been transferred away. */
const WASTE_BYTE_LENGTH = 16 << 10

/** CRC-32 as in zlib and Ethernet. */
export type Crc32 = (bytes: Uint8Array) => number

/** How one end uses checksums. */
export interface Checksums {
  /** Whether it wants them on a connection with that address at its other end. */
  readonly areWanted: (remoteAddress: string) => boolean
  readonly crc32: Crc32
}

/** A record that is being read. */
interface Incoming {
  readonly byteLength: number
  readonly checksum: number
  /** Where its bytes go: the memory of `lender`, or its own. */
  readonly memory: Uint8Array
  readonly lender: Sink | null
  filled: number
}

/** The part of a head that its own checksum covers. */
function headOf(number: number, byteLength: number, checksum: number): Uint8Array {
  const covered = new Uint8Array(HEAD_BYTE_LENGTH)
  const view = viewOf(covered)
  view.setUint32(0, byteLength)
  view.setUint32(4, checksum)
  view.setUint32(8, number)
  return covered
}

/** Writes the head of a record. */
export function encodeHead(crc32: Crc32, number: number, payload: Uint8Array): Uint8Array {
  const head = headOf(number, payload.length, crc32(payload))
  viewOf(head).setUint32(8, crc32(head))
  return head
}

/** Takes the records that come, and gives their bytes to the intake once they have been compared. */
class RecordReader implements Sink {
  readonly #intake: Intake
  readonly #crc32: Crc32
  readonly #onFailure: (error: Error) => void
  /** A head, and what has come with it. */
  readonly #spill: Uint8Array = new Uint8Array(HEAD_BYTE_LENGTH + COPIED_BYTE_LENGTH)
  #spilled = 0
  #record: Incoming | undefined
  #number = 0
  isOver = false

  constructor(intake: Intake, crc32: Crc32, onFailure: (error: Error) => void) {
    this.#intake = intake
    this.#crc32 = crc32
    this.#onFailure = onFailure
  }

  target(): Uint8Array {
    const record = this.#record
    if (!record) return this.#spill.subarray(this.#spilled)
    const { memory, byteLength, filled } = record
    if (memory.length === byteLength) return memory.subarray(filled)
    return new Uint8Array(Math.min(WASTE_BYTE_LENGTH, byteLength - filled))
  }

  onFilled(byteLength: number): void {
    if (this.isOver) return
    try {
      if (this.#record) this.#advance(byteLength)
      else this.#consume(this.#spilled + byteLength)
    } catch (error) {
      this.isOver = true
      this.#record = undefined
      this.#onFailure(error as Error)
    }
  }

  onEnd(error?: Error): void {
    const isInside = this.#record !== undefined || this.#spilled > 0
    this.#intake.finish(error ?? (isInside ? systemError('ECONNRESET', 'ended inside a record') : undefined))
  }

  #consume(byteLength: number): void {
    let at = 0
    while (byteLength - at >= HEAD_BYTE_LENGTH && !this.isOver) {
      const record = (this.#record = this.#begin(this.#spill.subarray(at, at + HEAD_BYTE_LENGTH)))
      at += HEAD_BYTE_LENGTH
      const count = Math.min(record.byteLength, byteLength - at)
      record.memory.set(this.#spill.subarray(at, at + count))
      at += count
      this.#advance(count)
    }
    this.#spill.copyWithin(0, at, byteLength)
    this.#spilled = byteLength - at
  }

  #begin(head: Uint8Array): Incoming {
    const view = viewOf(head)
    const [byteLength, checksum, stored] = [view.getUint32(0), view.getUint32(4), view.getUint32(8)]
    const computed = this.#crc32(headOf(this.#number, byteLength, checksum))
    if (stored !== computed) throw damagedError('head', this.#number, stored, computed)
    if (byteLength === 0 || byteLength > RECORD_BYTE_LENGTH) throw lengthError(byteLength, this.#number)
    const lender = this.#intake.directSink
    const target = lender?.target()
    const isDirect = target !== undefined && target.length >= byteLength
    const memory = isDirect ? target.subarray(0, byteLength) : uninitializedBytes(byteLength)
    return { byteLength, checksum, memory, lender: isDirect ? lender : null, filled: 0 }
  }

  #advance(byteLength: number): void {
    const record = this.#record!
    record.filled += byteLength
    if (record.filled < record.byteLength) return
    this.#record = undefined
    this.#deliver(record)
    this.#number = (this.#number + 1) >>> 0
  }

  #deliver({ byteLength, checksum, memory, lender }: Incoming): void {
    const isGone = memory.length !== byteLength
    const computed = isGone ? checksum : this.#crc32(memory)
    if (checksum !== computed) throw damagedError('payload', this.#number, checksum, computed)
    // If its memory has been transferred away, the sink notices it by itself.
    if (lender !== null && lender === this.#intake.directSink) lender.onFilled(byteLength)
    else if (isGone) throw systemError('ECONNABORTED', 'memory was transferred away')
    else this.#intake.take(memory)
  }
}

const ADVICE =
  'Bytes were changed, lost or repeated on the way: look for a broken network card, cable, driver or tunnel between the two machines.'

/** What came is not what was sent. Who reads frames makes an ERR_MISMATCH of it (decoder.ts). */
export class RecordError extends Error {
  readonly #isOne = true

  static is(error: unknown): error is RecordError {
    return typeof error === 'object' && error !== null && #isOne in error
  }
}

function damagedError(what: string, number: number, stored: number, computed: number): RecordError {
  const found = `the checksum of record ${number}'s ${what} is ${stored}, and that of what came is ${computed}`
  return new RecordError(`${found}. ${ADVICE}`)
}

function lengthError(byteLength: number, number: number): RecordError {
  const found = `record ${number} has ${byteLength} bytes, and belongs between 1 and ${RECORD_BYTE_LENGTH}`
  return new RecordError(`${found}. Run the same version of adasum on every rank.`)
}

export class CheckedPipe implements Pipe {
  readonly remoteAddress: string
  readonly localAddress: string
  readonly closed: Promise<void>
  readonly #pipe: Pipe
  readonly #crc32: Crc32
  readonly #intake: Intake
  readonly #reader: RecordReader
  #number = 0

  /** @param pipe - without a sink, and with checksums at its other end from the next byte on */
  constructor(pipe: Pipe, crc32: Crc32) {
    this.remoteAddress = pipe.remoteAddress
    this.localAddress = pipe.localAddress
    this.closed = pipe.closed
    this.#pipe = pipe
    this.#crc32 = crc32
    this.#intake = new Intake(() => undefined)
    this.#reader = new RecordReader(this.#intake, crc32, (error) => this.#fail(error))
  }

  channelBinding(): Uint8Array | undefined {
    return this.#pipe.channelBinding?.()
  }

  setSink(sink: Sink | null): void {
    this.#intake.setSink(sink)
    this.#pipe.setSink(sink === null ? null : this.#reader)
  }

  write(bytes: Uint8Array, done?: (error?: Error) => void): void {
    if (bytes.length === 0) return this.#pipe.write(bytes, done)
    for (let at = 0; at < bytes.length; at += RECORD_BYTE_LENGTH) {
      const payload = bytes.subarray(at, at + RECORD_BYTE_LENGTH)
      this.#writeRecord(payload, at + payload.length === bytes.length ? done : undefined)
    }
  }

  #writeRecord(payload: Uint8Array, done?: (error?: Error) => void): void {
    const head = encodeHead(this.#crc32, this.#number, payload)
    this.#number = (this.#number + 1) >>> 0
    if (payload.length > COPIED_BYTE_LENGTH) {
      this.#pipe.write(head)
      return this.#pipe.write(payload, done)
    }
    this.#pipe.write(concatBytes([head, payload]), done)
  }

  end(): void {
    this.#pipe.end()
  }

  destroy(): void {
    this.#reader.isOver = true
    this.#intake.drop()
    this.#pipe.destroy()
  }

  ref(): void {
    this.#pipe.ref()
  }

  unref(): void {
    this.#pipe.unref()
  }

  #fail(error: Error): void {
    this.destroy()
    this.#intake.finish(error)
  }
}
