/** Somebody who has the secret, and sends what no rank does: the rank ends its group with an error of ours, and lives. */
import anyTest, { type TestFn } from 'ava'
import type { Pipe } from '../../../ts/src/transport/transport.ts'
import { encodeHeader, type FrameHeader, HEADER_BYTE_LENGTH, NO_DESCRIPTOR } from '../../../ts/src/wire/frame.ts'
import { compile } from '../../cli/_adasum.ts'
import { Collector } from '../../transport/_compliance.ts'
import { PLAIN, Stage } from './_stage.ts'

const test = (process.platform === 'linux' ? anyTest.serial : anyTest.serial.skip) as TestFn

test.before(compile)

const MEBIBYTE = 2 ** 20
const MOST_MEBIBYTES = 32
const LARGEST = Number.MAX_SAFE_INTEGER

const PLAIN_FRAME: FrameHeader = {
  ...{ kind: 'data', sequence: 2, step: 0, rankFlags: 0, weight: 0, payloadByteLength: 0, credit: 0 },
  descriptor: NO_DESCRIPTOR,
}

const FRAMES: Readonly<Record<string, Partial<FrameHeader>>> = {
  'data of 2 GiB': { payloadByteLength: 2 ** 31 },
  'data of 2^53 bytes': { payloadByteLength: 2 ** 53 },
  'an early message of 2 GiB': { sequence: 3, payloadByteLength: 2 ** 31 },
  'an abort of almost 2^53 bytes': { kind: 'abort', payloadByteLength: LARGEST },
  'as many elements as can be counted': {
    payloadByteLength: LARGEST,
    descriptor: { ...NO_DESCRIPTOR, elementCount: LARGEST },
  },
  'an offer of 2 GiB': { kind: 'offer', payloadByteLength: 2 ** 31 },
}

for (const [name, change] of Object.entries(FRAMES))
  test(`${name}: the group ends with a typed error, and the process lives`, async (t) => {
    const accepted: Pipe[] = []
    const stage = await Stage.open(PLAIN, { onAccepted: (pipe) => accepted.push(pipe) })
    t.teardown(() => stage.close())
    await stage.victim.tell('wait')
    stage.forgetPeak()
    const { rss } = await stage.memory()
    const header = new Uint8Array(HEADER_BYTE_LENGTH)
    encodeHeader({ ...PLAIN_FRAME, ...change }, header)
    for (const pipe of accepted) pipe.write(header)
    await t.throwsAsync(stage.victim.tell('received'), { message: /^received: ERR_MISMATCH / })
    t.true(await stage.victim.tell('isUntouched'))
    const { peak } = await stage.memory()
    t.true(peak - rss < MOST_MEBIBYTES * MEBIBYTE, `${(peak - rss) / MEBIBYTE} MiB`)
  })

test('lengths and counts at the store and at the heartbeat end the connection, and nothing else', async (t) => {
  const stage = await Stage.open(PLAIN)
  t.teardown(() => stage.close())
  stage.forgetPeak()
  const { rss } = await stage.memory()
  const longest = new Uint8Array(4096).fill(0xff)
  for (const port of ['store', 'heartbeat'] as const)
    for (const bytes of [longest, Uint8Array.of(0x7f, ...longest), Uint8Array.of(2, ...longest)]) {
      const pipe = await stage.dial(port, stage.ports[port])
      const sink = new Collector()
      pipe.setSink(sink)
      pipe.write(bytes)
      await sink.finished
      pipe.destroy()
    }
  await stage.joinMs('store')
  await stage.victim.tell('wait')
  await stage.comm.send(new Float32Array(100_000).fill(2), { to: 0 })
  t.true(await stage.victim.tell('received'))
  const { peak } = await stage.memory()
  t.true(peak - rss < MOST_MEBIBYTES * MEBIBYTE, `${(peak - rss) / MEBIBYTE} MiB`)
})
