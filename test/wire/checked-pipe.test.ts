/** Records with checksums: what every pipe promises, and that no changed byte reaches a sink. */
import { crc32 } from 'node:zlib'
import { setTimeout as sleep } from 'node:timers/promises'
import anyTest, { type ExecutionContext, type TestFn } from 'ava'
import { systemCode } from '../../ts/src/errors.ts'
import { tcp } from '../../ts/src/transport/tcp.ts'
import type { Pipe, Transport } from '../../ts/src/transport/transport.ts'
import {
  CheckedPipe,
  HEAD_BYTE_LENGTH,
  RECORD_BYTE_LENGTH,
  RecordError,
  encodeHead,
} from '../../ts/src/wire/checked-pipe.ts'
import { fc, runsOf } from '../_property.ts'
import { Collector, compliance, connectPair, randomBytes, write } from '../transport/_compliance.ts'
import { DAMAGES, type Damage, damagedPipe } from '../transport/_damage.ts'
import { createMemoryTransport } from '../transport/_memory.ts'
import { mulberry32 } from '../transport/_random.ts'
import { striped } from '../transport/_striped.ts'

// One after the other: the suites open many sockets.
const test = anyTest.serial

function named(prefix: string): TestFn {
  const prefixed = (title: string, run: (t: ExecutionContext) => Promise<void>) => test(`${prefix}: ${title}`, run)
  return Object.assign(prefixed, { before: test.before }) as unknown as TestFn
}

const checked = (pipe: Pipe): Pipe => new CheckedPipe(pipe, crc32)

function checkedTransport(inner: Transport): Transport {
  return {
    ...inner,
    listen: (host, port, accept) => inner.listen(host, port, (pipe) => accept(checked(pipe))),
    dial: async (...address) => checked(await inner.dial(...address)),
  }
}

compliance(named('tcp'), 'tcp', () => checkedTransport(tcp))
compliance(named('memory'), 'memory', () => checkedTransport(createMemoryTransport()))
compliance(named('stripes of tcp'), 'tcp', () => striped(checkedTransport(tcp), 3, 10_000), 3)

/** Sends messages over a stream that is damaged, if it is, and ends it. */
async function send(t: ExecutionContext, lengths: readonly number[], seed: number, damage?: Damage) {
  const random = mulberry32(seed)
  const { dialled, accepted } = await connectPair(t, createMemoryTransport({ maxChunkByteLength: 5000, seed }))
  const writer = checked(damage ? damagedPipe(dialled, damage) : dialled)
  const reader = checked(accepted)
  const sink = new Collector(() => 1 + Math.floor(65_536 * random()))
  reader.setSink(sink)
  const messages = lengths.map((length) => randomBytes(length, random))
  for (const message of messages) writer.write(message)
  writer.end()
  const error = await sink.finished
  reader.destroy()
  return { sent: Buffer.concat(messages), came: Buffer.from(sink.bytes), error, endings: sink.endings }
}

const LENGTHS = fc.array(fc.oneof(fc.nat({ max: 200 }), fc.nat({ max: 30_000 })), { minLength: 1, maxLength: 20 })

test('whatever is sent arrives, in messages of any length', async (t) => {
  const property = fc.asyncProperty(LENGTHS, fc.nat(), async (lengths, seed) => {
    const { sent, came, error, endings } = await send(t, lengths, seed)
    return came.equals(sent) && error === undefined && endings === 1
  })
  await fc.assert(property, { numRuns: runsOf(100) })
  t.pass()
})

test('of a stream that was damaged comes what was sent before, and then an error', async (t) => {
  const property = fc.asyncProperty(
    LENGTHS,
    fc.nat(),
    fc.constantFrom(...DAMAGES),
    fc.double({ min: 0, max: 1, noNaN: true }),
    fc.integer({ min: 4, max: 3000 }),
    async (lengths, seed, kind, place, most) => {
      const whole = lengths.reduce((sum, length) => sum + Math.min(length, 1) * HEAD_BYTE_LENGTH + length, 0)
      const byteLength = Math.min(most, whole >> 2)
      fc.pre(byteLength > 0)
      const at = Math.floor(place * (whole - 2 * byteLength))
      const { sent, came, error, endings } = await send(t, lengths, seed, { kind, at, byteLength })
      t.true(sent.subarray(0, came.length).equals(came), 'what came was sent')
      t.true(came.length < sent.length || kind === 'repeated', 'not everything came')
      t.true(RecordError.is(error) || systemCode(error) === 'ECONNRESET', String(error))
      t.is(endings, 1)
    },
  )
  await fc.assert(property, { numRuns: runsOf(300) })
})

test('whole records that are left out, come twice or in another order are noticed', async (t) => {
  const byteLength = 100 + HEAD_BYTE_LENGTH
  for (const kind of ['dropped', 'repeated', 'exchanged'] as const) {
    const { sent, came, error } = await send(t, [100, 100, 100, 100], 1, { kind, at: byteLength, byteLength })
    t.true(RecordError.is(error), kind)
    t.deepEqual(came, sent.subarray(0, kind === 'repeated' ? 200 : 100), kind)
  }
})

test('a length that was changed is no reason to wait for more', async (t) => {
  const { dialled, accepted } = await connectPair(t, createMemoryTransport())
  const sink = new Collector()
  checked(accepted).setSink(sink)
  // 100 becomes 65,636 bytes, and nothing else follows.
  checked(damagedPipe(dialled, { kind: 'flipped', at: 1, byteLength: 1 })).write(new Uint8Array(100))
  const error = await sink.finished
  t.true(RecordError.is(error))
  t.regex(error!.message, /the checksum of record 0's head is \d+, and that of what came is \d+\. Bytes were changed/)
})

test('records are as long as the format says: longer ones and empty ones are refused', async (t) => {
  for (const byteLength of [0, RECORD_BYTE_LENGTH + 1]) {
    const { dialled, accepted } = await connectPair(t, createMemoryTransport())
    const sink = new Collector()
    checked(accepted).setSink(sink)
    dialled.write(encodeHead(crc32, 0, new Uint8Array(byteLength)))
    t.regex((await sink.finished)!.message, new RegExp(`record 0 has ${byteLength} bytes, and belongs between 1 and`))
    t.is(sink.byteLength, 0)
  }
  const { dialled, accepted } = await connectPair(t, createMemoryTransport())
  const raw = new Collector(() => 2 ** 20, 2 ** 20)
  accepted.setSink(raw)
  await write(checked(dialled), new Uint8Array(2 * RECORD_BYTE_LENGTH + 5))
  await raw.has(2 * RECORD_BYTE_LENGTH + 5 + 3 * HEAD_BYTE_LENGTH)
})

test('a record is read straight into the memory that waits for it, and is not told before it is whole', async (t) => {
  const { dialled, accepted } = await connectPair(t, createMemoryTransport())
  const memory = new Uint8Array(100_000)
  const told: number[] = []
  checked(accepted).setSink({ target: () => memory, onFilled: (count) => void told.push(count), onEnd: () => {} })
  const payload = randomBytes(memory.length, mulberry32(1))
  const head = encodeHead(crc32, 0, payload)
  await write(dialled, Buffer.concat([head, payload.subarray(0, 60_000)]))
  for (let turn = 0; turn < 100 && memory[59_999] !== payload[59_999]; turn++) await sleep(1)
  t.deepEqual([memory[59_999], told], [payload[59_999], []])
  await write(dialled, payload.subarray(60_000))
  for (let turn = 0; turn < 100 && told.length === 0; turn++) await sleep(1)
  t.deepEqual(told, [100_000])
  t.deepEqual(memory, payload)
})

test('memory that is transferred away while a record comes is left to the sink to notice', async (t) => {
  const { dialled, accepted } = await connectPair(t, createMemoryTransport())
  const memory = new Uint8Array(50_000)
  const told: number[] = []
  const pipe = checked(accepted)
  pipe.setSink({ target: () => memory, onFilled: (count) => void told.push(count), onEnd: () => {} })
  const payload = randomBytes(50_000, mulberry32(2))
  await write(dialled, Buffer.concat([encodeHead(crc32, 0, payload), payload.subarray(0, 20_000)]))
  await sleep(5)
  structuredClone(memory, { transfer: [memory.buffer] })
  await write(dialled, payload.subarray(20_000))
  for (let turn = 0; turn < 100 && told.length === 0; turn++) await sleep(1)
  t.deepEqual(told, [50_000])
})
