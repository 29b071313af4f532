/** The frames of a connection, as they are cut out of its bytes. Choices: put checksums right; how many bytes come at once. */
import { AdasumError } from '../../../ts/src/errors.ts'
import { crc32 } from '#platform'
import { viewOf } from '../../../ts/src/bytes.ts'
import { FrameDecoder } from '../../../ts/src/wire/decoder.ts'
import {
  EAGER_BYTE_LENGTH,
  encodeHeader,
  type FrameHeader,
  HEADER_BYTE_LENGTH,
  sameDescriptor,
} from '../../../ts/src/wire/frame.ts'
import { feed, foreignRefusal, inputOf, ensure, type Target } from '../_target.ts'
import { recordTraffic } from '../_traffic.ts'

interface Heard {
  readonly frames: { header: FrameHeader; payload: Uint8Array }[]
  insideFrame: boolean | undefined
  error: Error | undefined
}

/** What a decoder makes of a stream that comes in pieces of a length. */
function hear(stream: Uint8Array, pieceByteLength: number): Heard {
  const heard: Heard = { frames: [], insideFrame: undefined, error: undefined }
  const decoder = new FrameDecoder({
    begin: (header) => {
      // As links do: what is not awaited has a limit.
      if (header.payloadByteLength > EAGER_BYTE_LENGTH) throw new AdasumError('ERR_MISMATCH', 'a payload too long')
      return [new Uint8Array(header.payloadByteLength)]
    },
    onProgress: () => undefined,
    onComplete: (header, [payload]) => void heard.frames.push({ header, payload: payload! }),
    onError: (error) => (heard.error = error),
    onEnd: (insideFrame) => (heard.insideFrame = insideFrame),
  })
  feed(decoder, stream, pieceByteLength)
  decoder.onEnd()
  return heard
}

/** The stream with the checksum that each header should have, as far as headers can be found. */
export function withChecksums(stream: Uint8Array): Uint8Array {
  const right = Uint8Array.from(stream)
  for (let at = 0; at + HEADER_BYTE_LENGTH <= right.length;) {
    const header = right.subarray(at, at + HEADER_BYTE_LENGTH)
    viewOf(header).setUint32(60, crc32(header.subarray(0, 60)))
    const payloadByteLength = viewOf(header).getFloat64(40)
    if (!(payloadByteLength >= 0 && payloadByteLength < right.length)) break
    at += HEADER_BYTE_LENGTH + payloadByteLength
  }
  return right
}

function checkSame(one: Heard, other: Heard): void {
  ensure(one.frames.length === other.frames.length, 'the frames depend on the pieces in which bytes come')
  ensure(one.insideFrame === other.insideFrame, 'the end depends on the pieces in which bytes come')
  ensure(one.error?.message === other.error?.message, 'the error depends on the pieces in which bytes come')
  one.frames.forEach(({ header, payload }, i) => {
    const { header: otherHeader, payload: otherPayload } = other.frames[i]!
    const isSame = sameDescriptor(header.descriptor, otherHeader.descriptor) && header.kind === otherHeader.kind
    ensure(isSame && Buffer.compare(payload, otherPayload) === 0, 'a frame depends on the pieces in which bytes come')
  })
}

/** What was understood is all there was. */
function checkRoundTrip({ frames }: Heard, stream: Uint8Array): void {
  let at = 0
  for (const { header, payload } of frames) {
    const again = new Uint8Array(HEADER_BYTE_LENGTH)
    encodeHeader(header, again)
    const original = stream.subarray(at, at + HEADER_BYTE_LENGTH)
    ensure(Buffer.compare(again, original) === 0, () => `the header ${hex(original)} is written as ${hex(again)}`)
    at += HEADER_BYTE_LENGTH
    ensure(Buffer.compare(payload, stream.subarray(at, at + payload.length)) === 0, 'a payload has changed')
    at += payload.length
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

export const frames: Target = {
  name: 'frames',
  share: 20,
  largest: 8192,
  seeds: async () => (await recordTraffic()).streams.map((stream) => inputOf([1, 40], stream)),
  run(input) {
    const [repairs = 0, piece = 0] = input
    const content = input.subarray(2)
    const stream = repairs % 2 === 1 ? withChecksums(content) : content
    const [whole, cut] = [hear(stream, Infinity), hear(stream, piece + 1)]
    checkSame(whole, cut)
    checkRoundTrip(whole, stream)
    if (whole.error !== undefined) return foreignRefusal(whole.error)
    return whole.frames.length > 0
  },
}
