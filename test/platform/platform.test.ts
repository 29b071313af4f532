/** Node.js and browsers have the same platform: what one computes, the other does. */
import test from 'ava'
import * as node from '../../ts/src/platform/node.ts'
import type { Platform } from '../../ts/src/platform/platform.ts'
import * as web from '../../ts/src/platform/web.ts'
import { fc } from '../_property.ts'

const platforms = { node, web } satisfies Record<string, Platform>
const parts = fc.array(fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.string({ unit: 'grapheme', maxLength: 20 })))

test('hashes and codes are the same', (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 100 }), parts, fc.uint8Array(), (key, data, bytes) => {
      t.deepEqual([...web.sha256(...data)], [...node.sha256(...data)])
      t.deepEqual([...web.hmacSha256(key, ...data)], [...node.hmacSha256(key, ...data)])
      t.is(web.crc32(bytes), node.crc32(bytes))
    }),
  )
})

for (const [name, platform] of Object.entries(platforms)) {
  test(`${name}: known values`, (t) => {
    const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
    t.is(
      hex(platform.sha256('ab', new Uint8Array([0x63]))),
      'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    )
    const code = 'f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8'
    t.is(hex(platform.hmacSha256('key', 'The quick brown fox ', 'jumps over the lazy dog')), code)
    t.is(platform.crc32(new TextEncoder().encode('123456789')), 0xcbf43926)
  })

  test(`${name}: bytes at random are other ones each time, and all of them are filled`, (t) => {
    const [a, b] = [platform.randomBytes(200_000), platform.randomBytes(200_000)]
    t.is(a.length, 200_000)
    t.notDeepEqual(a.slice(0, 16), b.slice(0, 16))
    for (let at = 0; at < a.length; at += 10_000) t.true(a.subarray(at, at + 10_000).some((byte) => byte !== 0))
  })

  test(`${name}: comparing`, (t) => {
    const bytes = Uint8Array.of(1, 2, 3)
    t.true(platform.timingSafeEqual(bytes, Uint8Array.of(1, 2, 3)))
    for (const [i] of bytes.entries()) t.false(platform.timingSafeEqual(bytes, bytes.with(i, 9)))
    t.throws(() => platform.timingSafeEqual(bytes, bytes.subarray(1)), { instanceOf: RangeError })
  })

  test(`${name}: memory and cores`, (t) => {
    t.is(platform.uninitializedBytes(7).length, 7)
    t.true(platform.coreCount() >= 1)
  })
}

// The turns of browsers are tested in one: here a channel of messages would keep the process alive.
test('turns come in order, behind what has been waiting', async (t) => {
  const order: number[] = []
  setImmediate(() => order.push(0))
  await Promise.all([1, 2, 3].map((turn) => node.nextTurn().then(() => order.push(turn))))
  t.deepEqual(order, [0, 1, 2, 3])
})

test('browsers: a warning is of one line, with its code', (t) => {
  const lines: unknown[] = []
  const { warn } = console
  console.warn = (line: unknown) => void lines.push(line)
  web.emitWarning('something happened', 'ADASUM_STALL')
  console.warn = warn
  t.deepEqual(lines, ['AdasumWarning [ADASUM_STALL]: something happened'])
})
