import test from 'ava'
import { fc, runsOf } from '../_property.ts'
import { AdasumError } from '../../ts/src/errors.ts'
import { type FrameHandler, FrameDecoder } from '../../ts/src/wire/decoder.ts'
import { type FrameHeader, HEADER_BYTE_LENGTH, NO_DESCRIPTOR, encodeHeader } from '../../ts/src/wire/frame.ts'

const LARGEST_PAYLOAD = 200_000

interface Recorder extends FrameHandler {
  readonly frames: { header: FrameHeader; payload: Buffer }[]
  failure: Error | undefined
  end: { insideFrame: boolean } | undefined
}

/** Takes payloads in parts of the given length, so that the borders of parts are met everywhere. */
function recorder(partLength = 70_000): Recorder {
  const self: Recorder = {
    frames: [],
    failure: undefined,
    end: undefined,
    begin({ payloadByteLength }) {
      if (payloadByteLength > LARGEST_PAYLOAD) throw new AdasumError('ERR_MISMATCH', `${payloadByteLength} bytes`)
      const parts: Uint8Array[] = []
      for (let at = 0; at < payloadByteLength; at += partLength)
        parts.push(new Uint8Array(Math.min(partLength, payloadByteLength - at)))
      return parts
    },
    onProgress() {},
    onComplete: (header, parts) => void self.frames.push({ header, payload: Buffer.concat([...parts]) }),
    onError: (error) => void (self.failure = error),
    onEnd: (insideFrame) => void (self.end = { insideFrame }),
  }
  return self
}

/** Feeds bytes as a transport does: into the target that the decoder names, in reads of the given lengths. */
function feed(decoder: FrameDecoder, bytes: Buffer, readLengths: () => number): void {
  for (let at = 0; at < bytes.length;) {
    const target = decoder.target()
    const count = Math.min(target.length, bytes.length - at, Math.max(1, readLengths()))
    target.set(bytes.subarray(at, at + count))
    decoder.onFilled(count)
    at += count
  }
}

const descriptor = fc.record({
  collective: fc.integer({ min: 0, max: 255 }),
  op: fc.integer({ min: 0, max: 255 }),
  dtype: fc.integer({ min: 0, max: 255 }),
  resultDtype: fc.integer({ min: 0, max: 255 }),
  schedule: fc.integer({ min: 0, max: 255 }),
  onNonFinite: fc.integer({ min: 0, max: 255 }),
  flags: fc.integer({ min: 0, max: 255 }),
  root: fc.integer({ min: 0, max: 65535 }),
  elementCount: fc.maxSafeNat(),
  segmentCount: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  layoutHash: fc.uint8Array({ minLength: 8, maxLength: 8 }),
})

const frame = fc
  .record({
    kind: fc.constantFrom('data', 'offer', 'ready', 'credit', 'abort', 'goodbye'),
    sequence: fc.maxSafeNat(),
    step: fc.integer({ min: 0, max: 65535 }),
    rankFlags: fc.integer({ min: 0, max: 255 }),
    weight: fc.double({ min: 0, max: 2 ** 53, noNaN: true }),
    credit: fc.maxSafeNat(),
    descriptor,
    payload: fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.integer({ min: 0, max: LARGEST_PAYLOAD }).map((length) => new Uint8Array(length).fill(length)),
    ),
  })
  .map(({ payload, ...fields }) => {
    // The two share a place: which of them a frame has, its kind tells.
    const known = fields.kind === 'data' || fields.kind === 'offer' ? { credit: 0 } : { weight: 0 }
    const header = { ...fields, ...known, payloadByteLength: payload.length } as FrameHeader
    const bytes = Buffer.alloc(HEADER_BYTE_LENGTH + payload.length)
    encodeHeader(header, bytes)
    bytes.set(payload, HEADER_BYTE_LENGTH)
    return { header, payload, bytes }
  })

const readPattern = fc.array(fc.oneof(fc.integer({ min: 1, max: 80 }), fc.integer({ min: 1, max: 100_000 })), {
  minLength: 1,
})
const cycle = (lengths: readonly number[]): (() => number) => {
  let i = 0
  return () => lengths[i++ % lengths.length]!
}

test('frames come out as they went in, however the stream is cut', (t) => {
  fc.assert(
    fc.property(
      fc.array(frame, { minLength: 1, maxLength: 5 }),
      readPattern,
      fc.integer({ min: 1, max: 90_000 }),
      (frames, reads, part) => {
        const seen = recorder(part)
        feed(new FrameDecoder(seen), Buffer.concat(frames.map(({ bytes }) => bytes)), cycle(reads))
        t.is(seen.failure, undefined)
        t.deepEqual(
          seen.frames.map(({ header }) => header),
          frames.map(({ header }) => header),
        )
        t.true(seen.frames.every(({ payload }, i) => payload.equals(frames[i]!.payload)))
      },
    ),
    { numRuns: runsOf(300) },
  )
})

test('a stream that ends says whether it ended inside a frame', (t) => {
  fc.assert(
    fc.property(frame, fc.double({ min: 0, max: 1, noNaN: true }), readPattern, ({ bytes }, share, reads) => {
      const cut = Math.floor(bytes.length * share)
      const seen = recorder()
      const decoder = new FrameDecoder(seen)
      feed(decoder, bytes.subarray(0, cut), cycle(reads))
      decoder.onEnd()
      t.deepEqual(seen.end, { insideFrame: cut > 0 && cut < bytes.length })
      t.is(seen.frames.length, cut === bytes.length ? 1 : 0)
    }),
    { numRuns: runsOf(300) },
  )
})

test('1,000 damaged streams: a flipped bit of a header is noticed, and nothing after it is believed', (t) => {
  fc.assert(
    fc.property(frame, frame, fc.nat({ max: HEADER_BYTE_LENGTH * 8 - 1 }), readPattern, (first, second, bit, reads) => {
      const stream = Buffer.concat([first.bytes, second.bytes, first.bytes])
      const at = first.bytes.length + (bit >> 3)
      stream[at] = stream[at]! ^ (1 << (bit & 7))
      const seen = recorder()
      const decoder = new FrameDecoder(seen)
      feed(decoder, stream, cycle(reads))
      t.is(seen.frames.length, 1)
      t.true(seen.failure instanceof AdasumError)
      t.is((seen.failure as AdasumError).code, 'ERR_MISMATCH')
    }),
    { numRuns: runsOf(1000) },
  )
})

test('garbage is refused at its first header', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: HEADER_BYTE_LENGTH, maxLength: 500 }), readPattern, (garbage, reads) => {
      const seen = recorder()
      feed(new FrameDecoder(seen), Buffer.from(garbage), cycle(reads))
      t.is(seen.frames.length, 0)
      t.true(seen.failure instanceof AdasumError)
    }),
    { numRuns: runsOf(1000) },
  )
})

const DATA_HEADER: FrameHeader = {
  kind: 'data',
  sequence: 1,
  step: 0,
  rankFlags: 0,
  weight: 0,
  credit: 0,
  descriptor: NO_DESCRIPTOR,
  payloadByteLength: 0,
}

test('lengths that are no whole numbers are refused, with a correct checksum too', (t) => {
  for (const payloadByteLength of [NaN, Infinity, -1, 0.5, 2 ** 53]) {
    const bytes = Buffer.alloc(HEADER_BYTE_LENGTH)
    encodeHeader({ ...DATA_HEADER, payloadByteLength }, bytes)
    const seen = recorder()
    feed(new FrameDecoder(seen), bytes, () => 64)
    t.is((seen.failure as AdasumError).code, 'ERR_MISMATCH')
  }
})

test('weights that are none are refused, with a correct checksum too, in the frames that have any', (t) => {
  const decode = (kind: FrameHeader['kind'], value: number) => {
    const bytes = Buffer.alloc(HEADER_BYTE_LENGTH)
    encodeHeader({ ...DATA_HEADER, kind, weight: value, credit: value }, bytes)
    const seen = recorder()
    feed(new FrameDecoder(seen), bytes, () => 64)
    return seen
  }
  for (const kind of ['data', 'offer'] as const) {
    for (const bad of [NaN, Infinity, -1, -Infinity, 2 ** 53 + 2]) {
      const { failure } = decode(kind, bad)
      t.is((failure as AdasumError).code, 'ERR_MISMATCH')
      t.true(failure!.message.includes(`weight ${bad}`))
    }
    t.is(decode(kind, 0.25).failure, undefined)
  }
  t.is((decode('credit', 0.25).failure as AdasumError).code, 'ERR_MISMATCH')
})

test('what comes later in a payload has its place already, to the byte, across all parts; behind it nothing has', (t) => {
  const partLengths = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 6 })
  fc.assert(
    fc.property(partLengths, fc.nat(), (lengths, cut) => {
      const parts = lengths.map((length) => new Uint8Array(length))
      const total = lengths.reduce((sum, length) => sum + length, 0)
      const begun = cut % total
      const decoder = new FrameDecoder({ ...recorder(), begin: () => parts })
      const header = Buffer.alloc(HEADER_BYTE_LENGTH)
      encodeHeader({ ...DATA_HEADER, payloadByteLength: total }, header)
      t.is(decoder.targetAhead(0), undefined)
      feed(decoder, Buffer.concat([header, Buffer.alloc(begun)]), () => Infinity)
      for (let distance = 0; begun + distance < total; distance++) {
        const place = decoder.targetAhead(distance)!
        // As far as the part goes, and in no other one.
        let at = begun + distance
        const part = lengths.findIndex((length) => at < length || ((at -= length), false))
        t.is(place.buffer, parts[part]!.buffer)
        t.deepEqual([place.byteOffset, place.length], [at, lengths[part]! - at])
      }
      t.is(decoder.targetAhead(total - begun), undefined)
    }),
    { numRuns: 50 },
  )
})
