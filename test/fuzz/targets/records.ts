/** Records with checksums, as their payloads are cut out of a stream. Choices: put checksums right; how many bytes come at once. */
import { crc32 } from 'node:zlib'
import { viewOf } from '../../../ts/src/bytes.ts'
import type { Pipe, Sink } from '../../../ts/src/transport/transport.ts'
import { CheckedPipe, encodeHead, HEAD_BYTE_LENGTH, RECORD_BYTE_LENGTH } from '../../../ts/src/wire/checked-pipe.ts'
import { ensure, feed, foreignRefusal, inputOf, type Target } from '../_target.ts'

interface Heard {
  readonly bytes: Uint8Array
  readonly error: Error | undefined
}

/** A pipe of which only the reading end is there. */
class Inlet implements Pipe {
  readonly remoteAddress = 'there:1'
  readonly localAddress = 'here:1'
  readonly closed: Promise<void> = Promise.resolve()
  sink: Sink | null = null
  setSink(sink: Sink | null): void {
    this.sink = sink
  }
  write(): void {}
  end(): void {}
  destroy(): void {}
  ref(): void {}
  unref(): void {}
}

/** What comes out of a stream that comes in pieces of a length, into memory of another. */
function hear(stream: Uint8Array, pieceByteLength: number, targetByteLength: number): Heard {
  const [parts, memory]: [Uint8Array[], Uint8Array] = [[], new Uint8Array(targetByteLength)]
  let error: Error | undefined
  const inlet = new Inlet()
  new CheckedPipe(inlet, crc32).setSink({
    target: () => memory,
    onFilled: (byteLength) => void parts.push(memory.slice(0, byteLength)),
    onEnd: (reason) => (error = reason),
  })
  feed(inlet.sink!, stream, pieceByteLength)
  return { bytes: Buffer.concat(parts), error }
}

interface Records {
  readonly payloads: Uint8Array
  readonly isWrong: boolean
}

/** The same from the definition; each record goes through `repair` first. */
function parse(stream: Uint8Array, repair: (record: Uint8Array, number: number) => void = () => {}): Records {
  const payloads: Uint8Array[] = []
  const result = (isWrong: boolean): Records => ({ payloads: Buffer.concat(payloads), isWrong })
  for (let at = 0, number = 0; at + HEAD_BYTE_LENGTH <= stream.length; number++) {
    const byteLength = viewOf(stream).getUint32(at)
    const record = stream.subarray(at, at + HEAD_BYTE_LENGTH + byteLength)
    repair(record, number)
    const payload = record.subarray(HEAD_BYTE_LENGTH)
    const covered = Uint8Array.from(record.subarray(0, HEAD_BYTE_LENGTH))
    viewOf(covered).setUint32(8, number)
    if (viewOf(record).getUint32(8) !== crc32(covered)) return result(true)
    if (byteLength === 0 || byteLength > RECORD_BYTE_LENGTH) return result(true)
    if (payload.length < byteLength) break
    if (viewOf(record).getUint32(4) !== crc32(payload)) return result(true)
    payloads.push(payload)
    at += record.length
  }
  return result(false)
}

function withChecksums(stream: Uint8Array): Uint8Array {
  const right = Uint8Array.from(stream)
  parse(right, (record, number) => {
    const view = viewOf(record)
    view.setUint32(4, crc32(record.subarray(HEAD_BYTE_LENGTH)))
    view.setUint32(8, number)
    view.setUint32(8, crc32(record.subarray(0, HEAD_BYTE_LENGTH)))
  })
  return right
}

const payloadOf = (byteLength: number): Uint8Array => Uint8Array.from({ length: byteLength }, (_, i) => i * i)
const SEED = Buffer.concat(
  [5, 300, 5000, 1].flatMap((byteLength, number) => {
    const payload = payloadOf(byteLength)
    return [encodeHead(crc32, number, payload), payload]
  }),
)

export const records: Target = {
  name: 'records',
  share: 10,
  largest: 8192,
  seeds: () => [inputOf([0, 40, 200], SEED), inputOf([1, 255, 20], SEED)],
  run(input) {
    const [repairs = 0, piece = 0, target = 0] = input
    const content = input.subarray(3)
    const stream = repairs % 2 === 1 ? withChecksums(content) : content
    const expected = parse(stream)
    for (const heard of [hear(stream, Infinity, 8192), hear(stream, piece + 1, 32 * (target + 1))]) {
      ensure(Buffer.compare(heard.bytes, expected.payloads) === 0, 'other bytes came than are in whole records')
      ensure((heard.error !== undefined) === expected.isWrong, `an error: ${heard.error?.message}`)
      if (heard.error !== undefined) foreignRefusal(heard.error)
    }
    return !expected.isWrong && expected.payloads.length > 0
  },
}
