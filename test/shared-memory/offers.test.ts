/** Segments: what is offered is read, what is withdrawn is not used, and what is none is not mapped. */
import { randomBytes } from 'node:crypto'
import { closeSync, mkdtempSync, openSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import test from 'ava'
import { loadSharedMemory } from '#binding'
import { type Segment, type SharedMemoryBinding, TAG_BYTE_LENGTH } from '../../ts/src/binding/shared-memory.ts'
import type { AdasumError } from '../../ts/src/errors.ts'
import { type Location, type Offer } from '../../ts/src/shared-memory/offer.ts'
import { HAS_SHARED_MEMORY, SharedMemory } from '../../ts/src/shared-memory/shared-memory.ts'
import { decodeOffer, encodeOffer } from '../../ts/src/wire/offer.ts'
import { fc } from '../_property.ts'

const KIB_128 = 128 << 10
const newMemory = (limit?: number): SharedMemory => new SharedMemory(loadSharedMemory(), limit)
/** An owner's memory and a reader's, both of this process: it opens its own as a peer would. */
const pair = (): [SharedMemory, SharedMemory] => [newMemory(), newMemory()]
const numbers = (memory: SharedMemory, length: number): Float32Array => {
  const array = new Float32Array(memory.allocate(4 * length)!)
  for (let i = 0; i < length; i++) array[i] = i * 0.5 - 7
  return array
}
const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array =>
  new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength)

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Until what has gone is finalized: finalizers run in later turns. */
async function collectAll(): Promise<void> {
  for (let i = 0; i < 4; i++) {
    collect()
    await nextTurn()
  }
}

// What a process has mapped and open can be seen on Linux only.
const linuxTest = process.platform === 'linux' ? test : test.skip

if (HAS_SHARED_MEMORY) {
  test('a message is read where it lies, and short parts come along', (t) => {
    const [owner, reader] = pair()
    const data = numbers(owner, KIB_128)
    const report = Float64Array.of(1, 2, 3)
    const parts = [
      bytesOf(data.subarray(100, 90_000)),
      new Uint8Array(0),
      bytesOf(report),
      bytesOf(data.subarray(5, 9)),
    ]
    const placement = owner.offer(parts)!
    const borrowed = reader.borrow(decodeOffer(encodeOffer(placement.offer)))
    t.true(borrowed.isAvailable)
    t.deepEqual(Buffer.concat(borrowed.parts), Buffer.concat(parts))
    data[100] = 42
    t.deepEqual(Buffer.from(borrowed.parts[0]!.subarray(0, 4)), Buffer.from(Float32Array.of(42).buffer))
    t.false(placement.reclaimIfRead())
    t.true(borrowed.finish())
    t.true(placement.reclaimIfRead())
    t.false(borrowed.finish(), 'twice')
  })

  test('what comes along is aligned for kernels, wherever it lay', (t) => {
    const owner = newMemory()
    const large = bytesOf(numbers(owner, KIB_128))
    for (const length of [1, 3, 8]) {
      const placement = owner.offer([new Uint8Array(length), large, new Uint8Array(16)])!
      for (const part of newMemory().borrow(decodeOffer(encodeOffer(placement.offer))).parts)
        t.is(part.byteOffset % 8, 0)
    }
  })

  test('what is withdrawn counts for nothing, whether it had been opened or not', (t) => {
    const [owner, reader] = pair()
    const parts = [bytesOf(numbers(owner, KIB_128))]
    const first = owner.offer(parts)!
    const opened = reader.borrow(first.offer)
    t.true(opened.isAvailable)
    first.withdraw()
    t.false(opened.finish())
    const second = owner.offer(parts)!
    second.withdraw()
    t.false(reader.borrow(second.offer).isAvailable)
    // The word is used again: those who come late must not take the new message for theirs.
    const third = owner.offer(parts)!
    t.is(third.offer.word, second.offer.word)
    t.false(opened.finish())
    t.false(reader.borrow(second.offer).isAvailable)
    t.true(reader.borrow(third.offer).finish())
    t.true(third.reclaimIfRead())
  })

  test('a segment has many words, and an offer needs one', (t) => {
    const owner = newMemory()
    const parts = [bytesOf(numbers(owner, KIB_128))]
    const placements = []
    for (let placed = owner.offer(parts); placed; placed = owner.offer(parts)) placements.push(placed)
    t.true(placements.length >= 512)
    placements[7]!.withdraw()
    t.is(owner.offer(parts)?.offer.word, placements[7]!.offer.word)
    t.is(owner.offer(parts), undefined)
  })

  test('what does not lie in shared memory is not offered', (t) => {
    const owner = newMemory()
    const data = bytesOf(numbers(owner, KIB_128))
    t.is(owner.offer([new Uint8Array(100)]), undefined)
    t.is(owner.offer([data, new Uint8Array(17 << 10)]), undefined)
    t.is(owner.offer([]), undefined)
    t.is(owner.offer(Array.from({ length: 513 }, (_, i) => data.subarray(i, i + 1))), undefined)
    t.truthy(owner.offer([data, new Uint8Array(16 << 10)]))
    t.false(owner.holds(new Uint8Array(8)))
    // By another communicator of this process, too.
    t.true(newMemory().holds(data))
  })

  test('memory that cannot be had is none: more than there is, than is allowed, or too little to be worth it', (t) => {
    const memory = newMemory(1 << 20)
    t.is(memory.allocate(64 << 10), undefined)
    t.is(memory.allocate((1 << 20) + 1), undefined)
    const most = memory.allocate(1 << 20)
    t.is(most?.byteLength, 1 << 20)
    t.is(memory.allocate(KIB_128), undefined)
    for (const byteLength of [2 ** 44, 2 ** 50, 2 ** 53 - 1]) t.is(newMemory().allocate(byteLength), undefined)
  })

  test('the addon refuses what is no length, and no tag', (t) => {
    const { createSegment, openSegment } = loadSharedMemory()
    const tag = randomBytes(TAG_BYTE_LENGTH)
    for (const byteLength of [0, -1, 0.5, NaN, Infinity, 2 ** 54])
      t.throws(() => createSegment(byteLength, tag), { message: /bytes cannot be/ })
    t.throws(() => createSegment(1, tag.subarray(1)), { message: /a tag has 16 bytes, this one 15/ })
    t.throws(() => openSegment(process.pid, 0, 1, tag))
  })

  test('memory that is let go of may be had again', async (t) => {
    const memory = newMemory(1 << 20)
    const take = (): boolean => memory.allocate(1 << 20) !== undefined
    t.true(take())
    await collectAll()
    t.true(take())
  })

  test('what is not the segment that was meant is not mapped', (t) => {
    const [owner, reader] = pair()
    const placement = owner.offer([bytesOf(numbers(owner, KIB_128))])!
    const [location] = placement.offer.items as [Location]
    const folder = mkdtempSync(join(tmpdir(), 'adasum-segment-'))
    const file = openSync(join(folder, 'file'), 'w+')
    t.teardown(() => {
      closeSync(file)
      rmSync(folder, { recursive: true })
    })
    const wrong: Record<string, Partial<Location>> = {
      'another tag': { tag: randomBytes(TAG_BYTE_LENGTH) },
      // Less than a page may be rounding.
      'another length': { segmentByteLength: location.segmentByteLength + (64 << 10) },
      // macOS goes by the tag alone.
      ...(process.platform === 'linux' && {
        'a length that is one more': { segmentByteLength: location.segmentByteLength + 1 },
        'a plain file': { fd: file },
        'no file': { fd: 9999 },
        'no process': { pid: 2 ** 22 + 1 },
        'another process': { pid: process.ppid },
      }),
    }
    for (const [name, change] of Object.entries(wrong)) {
      const offer: Offer = { ...placement.offer, items: [{ ...location, ...change }] }
      t.throws(() => newMemory().borrow(offer), undefined, name)
    }
    const beyond = { ...location, offset: 8 }
    t.throws(() => reader.borrow({ ...placement.offer, items: [beyond] }), { message: /bytes 8 to/ })
    const noWord = reader.borrow({ ...placement.offer, word: 2 ** 31, generation: 1 })
    t.false(noWord.isAvailable)
    t.false(noWord.finish())
    t.true(reader.borrow(placement.offer).finish())
  })

  linuxTest(
    'a reader keeps what it has mapped, whatever becomes of the owner, and lets go of what was given up',
    async (t) => {
      const [owner, reader] = pair()
      const borrow = (): Uint8Array => {
        const { offer } = owner.offer([bytesOf(numbers(owner, KIB_128))])!
        return reader.borrow(offer).parts[0]!
      }
      const kept = borrow()
      const before = Buffer.from(kept)
      await collectAll()
      t.deepEqual(Buffer.from(kept), before)
      const mapped = (): number => readFileSync('/proc/self/maps', 'utf8').split('memfd:adasum').length - 1
      const descriptors = (): number => readdirSync('/proc/self/fd').length
      const [mappedBefore, descriptorsBefore] = [mapped(), descriptors()]
      for (let i = 0; i < 20; i++) {
        borrow()
        await collectAll()
      }
      // Two mappings a segment, and the newest one is still there on both sides.
      t.true(mapped() <= mappedBefore + 8, `${mapped()} mappings, ${mappedBefore} before`)
      t.true(descriptors() <= descriptorsBefore + 2)
    },
  )

  test('an allocated array outlives its world, and a view keeps all of it', async (t) => {
    const make = (): Float32Array => {
      const memory = newMemory()
      const array = numbers(memory, KIB_128).subarray(1000, 1010)
      memory.close()
      return array
    }
    const view = make()
    await collectAll()
    t.deepEqual(
      [...view],
      Array.from({ length: 10 }, (_, i) => (1000 + i) * 0.5 - 7),
    )
  })

  /** The binding in a runtime that forbids memory of others: its buffers are copies of what was there when they were made. */
  function copying(name: 'createSegment' | 'openSegment'): SharedMemoryBinding {
    const native = loadSharedMemory()
    const call = native[name] as (...args: unknown[]) => Segment
    const copies = (...args: unknown[]): Segment => {
      const segment = call(...args)
      const buffer = (): ArrayBuffer => segment.buffer().slice(0)
      return Object.create(segment, { fd: { value: segment.fd }, buffer: { value: buffer } }) as Segment
    }
    return { ...native, [name]: copies }
  }

  for (const [name, what] of [
    ['createSegment', /copies memory .*, so what this process writes into its memory reaches no other/],
    ['openSegment', /copies memory .*, so what others write does not reach this process/],
  ] as const)
    test(`a probe finds out that buffers are copies: ${name}`, (t) => {
      t.throws(() => new SharedMemory(copying(name)).probe(), { code: 'ERR_UNSUPPORTED', message: what })
      t.notThrows(() => newMemory().probe())
    })

  linuxTest('a probe leaves nothing', async (t) => {
    await collectAll()
    const before = readdirSync('/proc/self/fd').length
    for (let i = 0; i < 10; i++) newMemory().probe()
    await collectAll()
    t.true(readdirSync('/proc/self/fd').length <= before)
  })
} else test.skip('no memory is shared on this system', () => undefined)

const anyItem = fc.oneof(
  fc.uint8Array({ maxLength: 300 }).map((bytes): Uint8Array => Buffer.from(bytes)),
  fc.record({
    tag: fc.uint8Array({ minLength: TAG_BYTE_LENGTH, maxLength: TAG_BYTE_LENGTH }).map((tag) => new Uint8Array(tag)),
    pid: fc.nat(),
    fd: fc.nat(),
    segmentByteLength: fc.maxSafeNat(),
    offset: fc.maxSafeNat(),
    byteLength: fc.maxSafeNat(),
  }),
)
const anyOffer = fc.record({ word: fc.nat(), generation: fc.nat(), items: fc.array(anyItem, { maxLength: 8 }) })

test('an offer comes out as it went in', (t) => {
  fc.assert(
    fc.property(anyOffer, (offer) => {
      const { items, ...head } = decodeOffer(encodeOffer(offer))
      t.deepEqual(head, { word: offer.word, generation: offer.generation })
      t.deepEqual(
        items.map((item) => (item instanceof Uint8Array ? Buffer.from(item) : item)),
        offer.items,
      )
    }),
  )
  t.pass()
})

test('bytes that are no offer are an ERR_MISMATCH, and nothing else', (t) => {
  const damaged = fc.tuple(anyOffer, fc.nat(), fc.nat(255)).map(([offer, at, byte]) => {
    const bytes = encodeOffer(offer)
    bytes[at % bytes.length] = byte
    return bytes.subarray(0, bytes.length - (at % 3))
  })
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), damaged), (bytes) => {
      try {
        for (const item of decodeOffer(bytes).items)
          if (!(item instanceof Uint8Array)) t.true(Number.isSafeInteger(item.offset) && item.offset >= 0)
      } catch (error) {
        t.is((error as AdasumError).code, 'ERR_MISMATCH', String(error))
      }
    }),
  )
  t.pass()
})
