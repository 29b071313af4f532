/** Errors that concern a peer: whom they name, over every way in which bytes travel, and what a peer's own words do in them. */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import anyTest from 'ava'
import type { Communicator } from '../../ts/src/communicator/communicator.ts'
import { AdasumError, ERROR_CODES, inspect } from '../../ts/src/errors.ts'
import { createMemoryTransport } from '../transport/_memory.ts'
import { HAS_SHARED_MEMORY } from '../../ts/src/shared-memory/shared-memory.ts'
import { tcp } from '../../ts/src/transport/tcp.ts'
import { shared } from '../shared-memory/_memory.ts'
import { failuresOf, makeWorld, onAll } from '../_world.ts'
import { decodeCause, encodeCause } from '../../ts/src/group/abort.ts'
import { COLLECTIVES, WEIGHTED } from '../../ts/src/group/descriptor.ts'
import { messageSequence } from '../../ts/src/group/numbering.ts'
import { encodeFrame } from '../../ts/src/group/outbox.ts'
import { printable } from '../../ts/src/printable.ts'
import { parseStoreMessage } from '../../ts/src/rendezvous/stores/tcp/messages.ts'
import { refusalClause, withRefusal } from '../../ts/src/rendezvous/refusals.ts'
import { ABORT_BYTE_LENGTH, type FrameHeader, NO_DESCRIPTOR } from '../../ts/src/wire/frame.ts'
import { fc } from '../_property.ts'

// One after the other: deadlines are short.
const test = anyTest.serial

const WAYS = {
  memory: () => ({ transport: createMemoryTransport() }),
  tcp: () => ({ transport: tcp }),
  ...(HAS_SHARED_MEMORY && { 'shared memory': () => ({ transport: tcp, sharedMemory: shared() }) }),
}
const SIZE = 4
const LENGTHS = [100, 120_000]

type Call = (comm: Communicator, length: number) => Promise<unknown>
const CALLS: Record<string, Call> = {
  direct: (comm, length) => comm.allReduce(new Float32Array(length), { op: 'sum', algorithm: 'direct' }),
  'single-shot': (comm, length) => comm.allReduce(new Float32Array(length), { op: 'adasum', algorithm: 'single-shot' }),
  'two levels': (comm, length) => comm.allReduce(new Float32Array(length), { op: 'adasum', algorithm: 'rvh' }),
  'reduce-scatter': (comm, length) => comm.reduceScatter(new Float32Array(length), { op: 'sum' }),
  'all-gather': (comm, length) => comm.allGather(new Float32Array(length)),
  barrier: (comm) => comm.barrier(),
}

for (const [name, way] of Object.entries(WAYS)) {
  test(`${name}: ERR_TIMEOUT names the rank that did not come`, async (t) => {
    const cases = Object.entries(CALLS).flatMap(([what, call]) => LENGTHS.map((length) => ({ what, call, length })))
    await Promise.all(
      cases.map(async ({ what, call, length }, i) => {
        const missing = i % SIZE
        const world = await makeWorld(SIZE, { ...way(), timeoutMs: 3000, stallMs: 60_000 })
        await onAll(world.ranks, (comm) => comm.barrier())
        const there = world.ranks.filter(({ rank }) => rank !== missing)
        for (const error of (await failuresOf(there.map((comm) => call(comm, length)))) as AdasumError[])
          t.like(error, { code: 'ERR_TIMEOUT', peerRank: missing }, `${what}, ${length}: ${error.message}`)
        const [late] = (await failuresOf([call(world.ranks[missing]!, length)])) as AdasumError[]
        t.like(late, { code: 'ERR_TIMEOUT', peerRank: missing }, `${what}, ${length}, the late one`)
        await world.close()
      }),
    )
  })

  test(`${name}: ERR_PEER_LOST names the rank that died, or that has closed`, async (t) => {
    for (const end of ['kill', 'close'] as const)
      for (const length of LENGTHS) {
        const world = await makeWorld(SIZE, way())
        await onAll(world.ranks, (comm) => comm.barrier())
        const calls = world.ranks.slice(0, 3).map((comm) => CALLS['single-shot']!(comm, length))
        await sleep(5)
        if (end === 'kill') world.kill(3)
        else await world.ranks[3]!.close()
        for (const error of (await failuresOf(calls)) as AdasumError[]) {
          t.like(error, { code: 'ERR_PEER_LOST', peerRank: 3 }, `${end}, ${length}: ${error.message}`)
          t.not(error.rank, 3)
        }
        await world.close()
      }
  })

  test(`${name}: ERR_ABORTED names the rank whose caller aborted, and no peer`, async (t) => {
    const world = await makeWorld(SIZE, way())
    const controller = new AbortController()
    const calls = world.ranks
      .slice(0, 3)
      .map((comm) => comm.barrier(comm.rank === 1 ? { signal: controller.signal } : {}))
    await sleep(5)
    controller.abort()
    for (const error of (await failuresOf(calls)) as AdasumError[]) {
      t.like(error, { code: 'ERR_ABORTED', rank: 1 })
      t.is(error.peerRank, undefined)
    }
    await world.close()
  })

  test(`${name}: ERR_MISMATCH names both ranks that differ, and the one that sends what it may not`, async (t) => {
    for (const length of LENGTHS) {
      const world = await makeWorld(SIZE, way())
      const errors = await failuresOf(
        world.ranks.map((comm) => CALLS['single-shot']!(comm, length + Number(comm.rank === 2))),
      )
      for (const { code, rank, peerRank, message } of errors as AdasumError[]) {
        t.is(code, 'ERR_MISMATCH')
        t.true(rank !== peerRank && (rank === 2 || peerRank === 2), `${message}: ${rank}, ${peerRank}`)
      }
      await world.close()
    }
    const world = await makeWorld(SIZE, way())
    const calls = world.ranks.slice(0, 3).map((comm) => comm.barrier())
    await sleep(5)
    world.pipe(3, 1).write(Buffer.alloc(64, 7))
    for (const error of (await failuresOf(calls)) as AdasumError[])
      t.like(error, { code: 'ERR_MISMATCH', rank: 1, peerRank: 3, peerAddress: world.pipe(1, 3).remoteAddress })
    await world.close()
  })

  test(`${name}: ERR_NON_FINITE names the first rank whose input is not finite, on every rank`, async (t) => {
    const world = await makeWorld(SIZE, way())
    for (const length of LENGTHS) {
      const errors = await failuresOf(
        world.ranks.map((comm) =>
          comm.allReduce(new Float32Array(length).fill(comm.rank % 2 === 1 ? NaN : 1), { op: 'adasum' }),
        ),
      )
      errors.forEach((error, rank) => t.like(error, { code: 'ERR_NON_FINITE', rank, peerRank: 1 }))
    }
    await world.close()
  })
}

test('ERR_TIMEOUT names the rank that stood still in the middle of a call', async (t) => {
  let failedCount = 0
  const run = async (what: string, call: Call, maxChunkByteLength: number): Promise<void> => {
    const transport = createMemoryTransport({ seed: what.length, maxChunkByteLength })
    const world = await makeWorld(SIZE, { transport, timeoutMs: 3000, stallMs: 60_000 })
    await onAll(world.ranks, (comm) => comm.barrier())
    const peers = [0, 1, 3]
    const ends = new Set(peers.flatMap((peer) => [world.pipe(peer, 2), world.pipe(2, peer)]))
    const calls = world.ranks.map((comm) => call(comm, 3000))
    calls[2]!.catch(() => undefined)
    for (let turn = 0; turn < 8; turn++) await nextTurn()
    // As far as the others see: nothing comes from it any more, nor arrives there.
    transport.freeze((pipe) => ends.has(pipe))
    for (const result of await Promise.allSettled(peers.map((peer) => calls[peer]!))) {
      if (result.status === 'fulfilled') continue
      failedCount++
      t.like(result.reason, { code: 'ERR_TIMEOUT', peerRank: 2 }, `${what}: ${String(result.reason)}`)
    }
    transport.thaw()
    await Promise.allSettled(calls)
    await world.close()
  }
  await Promise.all(Object.entries(CALLS).flatMap(([what, call]) => [20, 2000].map((chunk) => run(what, call, chunk))))
  t.true(failedCount > 10, `${failedCount} calls were held up`)
})

// ---- what a peer says in words and ranks: it can be read in a message, and do nothing else there

/** What must not be in a message. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/u
const ESCAPES = '\u001b[2J\u001b]0;owned\u0007\r\nadasum: all is well\u202e\u2028\ud800\u009b31m'

/** Everything that a string can have in it, with what terminals act on among it often. */
const hostileText = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'binary', maxLength: 20 }),
      fc.constantFrom(...ESCAPES, ESCAPES, 'x'.repeat(3000), '\u{1f600}'),
      fc.nat(0xffff).map((unit) => String.fromCharCode(unit)),
    ),
    { maxLength: 8 },
  )
  .map((parts) => parts.join(''))

test('printable text has nothing in it that a terminal acts on, and is as long as it may be', (t) => {
  fc.assert(
    fc.property(hostileText, fc.integer({ min: 1, max: 300 }), (text, most) => {
      const shown = printable(text, most)
      t.notRegex(shown, UNPRINTABLE)
      t.true(shown.length <= most)
      // What is harmless is not changed.
      if (!UNPRINTABLE.test(text) && text.length <= most) t.is(shown, text)
    }),
  )
  t.is(printable('rank 1 à la 日本 😀', 100), 'rank 1 à la 日本 😀')
  t.is(printable('a\u001b[31m\n', 100), 'a\\u{1b}[31m\\u{a}')
  t.is(printable('abcdef', 4), 'abc…')
  t.is(inspect('\u001b'.repeat(1000)).length, 100)
})

const anything = fc.oneof(
  fc.anything(),
  hostileText,
  fc.integer({ min: -3, max: 12 }),
  fc.constantFrom(2 ** 53, NaN, Infinity, 1.5, ...ERROR_CODES),
)
const fields = ['code', 'message', 'rank', 'peerRank', 'peerAddress', 'operation', 'sequence'] as const
const someFields = fc.record(Object.fromEntries(fields.map((name) => [name, anything])), { requiredKeys: [] })

function jsonOf(value: unknown): Uint8Array {
  // What has no JSON becomes what comes closest.
  const text = JSON.stringify(value, (_, item: unknown) => (typeof item === 'bigint' ? Number(item) : item)) as
    string | undefined
  return Buffer.from(text ?? 'undefined')
}

function checkCause(
  t: { true(value: boolean, message?: string): void; notRegex(text: string, regex: RegExp): void },
  error: AdasumError,
  size: number,
): void {
  const { code, message, rank, peerRank, peerAddress, operation, sequence } = error
  t.true(ERROR_CODES.includes(code))
  t.true(message.length > 0 && message.length <= 2000)
  for (const text of [message, peerAddress ?? '', operation ?? '']) t.notRegex(text, UNPRINTABLE)
  t.true((peerAddress?.length ?? 0) <= 300 && (operation?.length ?? 0) <= 30)
  for (const one of [rank!, peerRank ?? 0]) t.true(Number.isInteger(one) && one >= 0 && one < size, `rank ${one}`)
  t.true(sequence === undefined || (Number.isSafeInteger(sequence) && sequence >= 0))
}

test('whatever an ABORT frame carries, a group makes an error of its own kind of it', (t) => {
  const bytes = fc.oneof(fc.uint8Array({ maxLength: 300 }), someFields.map(jsonOf), fc.anything().map(jsonOf))
  fc.assert(
    fc.property(bytes, fc.integer({ min: 2, max: 9 }), (body, size) => {
      checkCause(t, decodeCause([body], { from: 1, size }), size)
    }),
  )
})

test('a cause that goes out is printable, fits the frame, and comes back as it was', (t) => {
  fc.assert(
    fc.property(hostileText, fc.constantFrom(...ERROR_CODES), (text, code) => {
      const details = { rank: 1, peerRank: 0, peerAddress: '127.0.0.1:4000', operation: 'barrier', sequence: 7 }
      const bytes = encodeCause(new AdasumError(code, text, details))
      t.true(bytes.length <= ABORT_BYTE_LENGTH)
      t.notRegex((JSON.parse(Buffer.from(bytes).toString()) as { message: string }).message, UNPRINTABLE)
      const error = decodeCause([bytes], { from: 0, size: 2 })
      checkCause(t, error, 2)
      t.is(error.code, code)
    }),
  )
  const error = new AdasumError('ERR_PEER_LOST', 'Lost rank 3 (10.0.0.1:7): it ended.', { rank: 2, peerRank: 3 })
  t.like(decodeCause([encodeCause(error)], { from: 1, size: 4 }), { ...error, message: error.message })
})

test('an ABORT from a rank that is not there, with escapes, in a world of two', async (t) => {
  const world = await makeWorld(2)
  const calls = failuresOf([world.ranks[0]!.barrier()])
  const cause = {
    code: 'ERR_TIMEOUT',
    message: `${ESCAPES}!`,
    rank: 7,
    peerRank: 7,
    operation: ESCAPES,
    peerAddress: ESCAPES,
  }
  world.pipe(1, 0).write(encodeFrame('abort', { sequence: 1 }, Buffer.from(JSON.stringify(cause))))
  const [error] = (await calls) as AdasumError[]
  checkCause(t, error!, 2)
  t.like(error, { code: 'ERR_TIMEOUT', rank: 1, operation: 'barrier', sequence: 1 })
  t.is(error!.peerRank, undefined)
  await world.close()
})

test('frames that name ranks which are not there, or not the two, are refused', async (t) => {
  const world = await makeWorld(4)
  const { receiver } = world.groups[0]!.linkTo(1)
  const of = (sequence: number, root = 0): FrameHeader => ({
    ...{ kind: 'call', sequence, step: 0, rankFlags: 0, weight: 0, payloadByteLength: 0, credit: 0 },
    descriptor: { ...NO_DESCRIPTOR, root },
  })
  for (const [from, to] of [
    [0, 1],
    [1, 0],
  ] as const)
    t.notThrows(() => receiver.begin(of(messageSequence({ from, to, index: 3 }, 4))))
  for (const [from, to] of [
    [0, 2],
    [2, 0],
    [1, 2],
    [2, 3],
    [1, 1],
    [0, 0],
  ] as const)
    t.throws(() => receiver.begin(of(messageSequence({ from, to, index: 3 }, 4))), {
      instanceOf: AdasumError,
      code: 'ERR_MISMATCH',
      message: new RegExp(`sent a frame of a message from rank ${from} to rank ${to}\\.`),
    })
  t.throws(() => receiver.begin(of(1, 4)), { code: 'ERR_MISMATCH', message: /root 4, where the ranks are 0 to 3/ })
  t.notThrows(() => receiver.begin(of(1, 3)))
  await world.close()
})

test('frames with a weight in a call that has none are refused', async (t) => {
  const world = await makeWorld(2)
  const { receiver } = world.groups[0]!.linkTo(1)
  const begin = (kind: 'data' | 'offer', collective: number, flags: number, weight: number, sequence: number): void => {
    const header = { kind, sequence, step: 0, rankFlags: 0, weight, payloadByteLength: 0, credit: 0 }
    receiver.begin({ ...header, descriptor: { ...NO_DESCRIPTOR, collective, flags } })
  }
  const refused = { code: 'ERR_MISMATCH', message: /sent a weight of 3 in a call without weights/ }
  t.throws(() => begin('data', COLLECTIVES['all-reduce'], 0, 3, 1), refused)
  t.throws(() => begin('data', COLLECTIVES['all-gather'], WEIGHTED, 3, 1), refused)
  t.throws(() => begin('offer', COLLECTIVES['reduce-scatter'], 0, 3, 1), refused)
  t.notThrows(() => begin('data', COLLECTIVES['all-reduce'], WEIGHTED, 3, 1))
  t.notThrows(() => begin('data', COLLECTIVES['reduce-scatter'], WEIGHTED, 0, 2))
  await world.close()
})

test('what the store tells of refusals is printable', (t) => {
  fc.assert(
    fc.property(hostileText, (text) => {
      const message = { type: 'waiting', missing: [1], left: [], refusals: { count: 2, last: text.slice(0, 1000) } }
      const parsed = parseStoreMessage(message, 3)
      t.true(parsed?.type === 'waiting')
      if (parsed?.type === 'waiting') t.notRegex(refusalClause(parsed.refusals), UNPRINTABLE)
      t.notRegex(refusalClause(withRefusal({ count: 0, last: '' }, new Error(text))), UNPRINTABLE)
    }),
  )
})

test('names of arrays and options are printable in what is said of them', async (t) => {
  const { ranks, close } = await makeWorld(1)
  const wrong: [data: object, options: object][] = [
    [{ [ESCAPES]: 3 }, {}],
    [{ a: new Float32Array(2), [ESCAPES]: new Float64Array(2) }, {}],
    [{ [ESCAPES]: new Float32Array(2) }, { out: { [`${ESCAPES}2`]: new Float32Array(2) } }],
    [new Float32Array(2), { [ESCAPES]: 1 }],
    [new Float32Array(2), { algorithm: ESCAPES }],
    [new Float32Array(2), { dtype: ESCAPES }],
  ]
  for (const [data, options] of wrong) {
    const call = ranks[0]!.allReduce(data as never, { op: 'sum', ...options } as never)
    const error = await t.throwsAsync(call, { code: 'ERR_ARGUMENT' })
    t.notRegex(error.message, UNPRINTABLE)
  }
  await close()
})
