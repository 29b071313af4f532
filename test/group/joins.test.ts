/** Ranks that have joined: what ends the group, whom errors name, and what a peer may say. */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import anyTest, { type ExecutionContext } from 'ava'
import type { Communicator } from '../../ts/src/communicator/communicator.ts'
import { AdasumError } from '../../ts/src/errors.ts'
import { encodeFrame } from '../../ts/src/group/outbox.ts'
import { HAS_SHARED_MEMORY } from '../../ts/src/shared-memory/shared-memory.ts'
import { tcp } from '../../ts/src/transport/tcp.ts'
import type { StallReport } from '../../ts/src/types.ts'
import { shared } from '../shared-memory/_memory.ts'
import { createMemoryTransport } from '../transport/_memory.ts'
import { fc, runsOf } from '../_property.ts'
import { failuresOf, makeWorld, onAll } from '../_world.ts'
import {
  CALL,
  JOIN,
  LONG,
  UNKNOWN,
  type Word,
  descriptorOfShortCall,
  reduce,
  say,
  worldOf,
  worldWithReports,
} from './_joining.ts'

// One after the other: deadlines are short, and warnings belong to the process.
const test = anyTest.serial

const WAYS = {
  memory: () => ({ transport: createMemoryTransport() }),
  tcp: () => ({ transport: tcp }),
  ...(HAS_SHARED_MEMORY && { 'shared memory': () => ({ transport: tcp, sharedMemory: shared() }) }),
}

// ---- calls that a rank which has joined cannot take part in

const UNSUPPORTED: Record<string, (comm: Communicator) => Promise<unknown>> = {
  'an all-reduce without a weight': (comm) => comm.allReduce(new Float32Array(10), { op: 'average' }),
  'an all-reduce of another length': (comm) => reduce(comm, { length: 11 }),
  'an all-reduce with another option': (comm) =>
    comm.allReduce(new Float32Array(10), { op: 'average', weight: 1, onNonFinite: 'skip' }),
  'a long all-reduce without a weight': (comm) => comm.allReduce(new Float32Array(LONG), { op: 'average' }),
  // Nobody but the caller knows which function it is.
  'an all-reduce by a function': (comm) =>
    comm.allReduce(new Float32Array(10), { op: { name: 'custom', coefficients: () => [1, 1] }, weight: 1 }),
  'a reduce-scatter with a weight': (comm) => comm.reduceScatter(new Float32Array(12), { op: 'average', weight: 1 }),
  'a broadcast': (comm) => comm.broadcast(new Float32Array(10), { root: 1 }),
  'a broadcast from the rank that has joined': (comm) => comm.broadcast(new Float32Array(10), { root: 0 }),
  'a long broadcast': (comm) => comm.broadcast(new Float32Array(LONG), { root: 1 }),
  'an all-gather': (comm) => comm.allGather(new Float32Array(10)),
  'an uneven all-to-all': (comm) => comm.allToAll(new Float32Array(3), { counts: [1, 1, 1] }),
  'a barrier': (comm) => comm.barrier(),
  'a split': (comm) => comm.split(0),
  'a message to it': (comm) => (comm.rank === 1 ? comm.send(new Float32Array(10), { to: 0 }) : reduce(comm)),
  'a long message to it': (comm) => (comm.rank === 1 ? comm.send(new Float32Array(LONG), { to: 0 }) : reduce(comm)),
  'a message from it': (comm) => (comm.rank === 1 ? comm.receive(new Float32Array(10), { from: 0 }) : reduce(comm)),
}

for (const [name, way] of Object.entries(WAYS))
  test(`${name}: calls that cannot go on without a rank that has joined end the group on all ranks`, async (t) => {
    for (const [what, call] of Object.entries(UNSUPPORTED))
      for (const isFirst of [true, false]) {
        const world = await worldOf(3, way())
        const join = (): Promise<unknown> => world.ranks[0]!.join()
        // Before any other rank knows that it has joined, and when all do.
        const early = isFirst ? [join()] : world.ranks.slice(1).map(call)
        const all = Promise.allSettled(early)
        if (isFirst) await sleep(5)
        const begun = performance.now()
        const late = isFirst ? world.ranks.slice(1).map(call) : [join()]
        const results = [...(await all), ...(await Promise.allSettled(late))]
        const errors = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as AdasumError] : []))
        // The others may have done what they called, such as a broadcast, and get it for the next call.
        t.true(errors.length >= 1, what)
        errors.push(...((await failuresOf(world.ranks.map((comm) => reduce(comm)))) as AdasumError[]))
        for (const error of errors) {
          t.like(error, { code: 'ERR_UNSUPPORTED', rank: 0 }, `${what}: ${error.message}`)
          t.regex(
            error.message,
            /cannot go on: rank 0 has joined, and (takes part in nothing but|has made no such call)/,
          )
        }
        t.true(performance.now() - begun < 5000, what)
        await world.close()
      }
  })

test('messages between ranks that have not joined go on', async (t) => {
  const world = await worldOf(3)
  const [a, b, c] = world.ranks
  const join = a!.join()
  await sleep(5)
  const received = new Float32Array(LONG)
  await Promise.all([
    b!.send(new Float32Array(LONG).fill(7), { to: 2 }).then(() => b!.join()),
    c!.receive(received, { from: 1 }).then(() => c!.join()),
    join,
  ])
  t.is(received[LONG - 1], 7)
  await Promise.all([a!.send(Float32Array.of(1), { to: 1 }), b!.receive(new Float32Array(1), { from: 0 })])
  await world.close()
})

test('a rank that is done may send, and call, before another one knows that all have joined', async (t) => {
  const transport = createMemoryTransport()
  const world = await worldOf(3, { transport })
  const [a, b, c] = world.ranks
  // Rank 2 is slow to hear of rank 1.
  transport.freeze((pipe) => pipe === world.pipe(2, 1))
  const joins = world.ranks.map((comm) => comm.join())
  await Promise.all(joins.slice(0, 2))
  const received = new Float32Array(10)
  const calls = [
    ...[a!.send(new Float32Array(10).fill(3), { to: 2 }), a!.receive(new Float32Array(10), { from: 2 })],
    ...[a!.barrier(), b!.barrier(), a!.join(), b!.join()],
  ]
  await sleep(20)
  transport.thaw()
  t.deepEqual(await joins[2], { lastRank: 2 })
  const rest = [c!.receive(received, { from: 0 }), c!.send(new Float32Array(10), { to: 0 }), c!.barrier(), c!.join()]
  await Promise.all([...calls, ...rest])
  t.is(received[9], 3)
  await world.close()
})

test('a rank that has joined makes no calls before the others have, and that does no harm', async (t) => {
  const world = await worldOf(2)
  const [a, b] = world.ranks
  const join = a!.join()
  const calls = [reduce(a!), a!.join(), a!.barrier(), a!.send(new Float32Array(1), { to: 1 }), a!.split(1)]
  for (const error of (await failuresOf<unknown>(calls)) as AdasumError[])
    t.like(error, { code: 'ERR_NOT_READY', rank: undefined }, error.message)
  await reduce(b!)
  t.deepEqual(await Promise.all([join, b!.join()]), [{ lastRank: 1 }, { lastRank: 1 }])
  await onAll(world.ranks, (comm) => comm.barrier())
  await world.close()
})

// ---- deadlines, and ranks that go

for (const [name, way] of Object.entries(WAYS)) {
  test(`${name}: ERR_TIMEOUT names a rank that neither calls nor joins`, async (t) => {
    const world = await worldOf(3, { ...way(), stallMs: 60_000 })
    const [a, b] = world.ranks
    const early = [a!.join({ timeoutMs: 400 }), b!.join({ timeoutMs: 400 })]
    for (const error of (await failuresOf<unknown>(early)) as AdasumError[])
      t.like(error, { code: 'ERR_TIMEOUT', peerRank: 2, operation: 'join', sequence: 1 }, error.message)
    await world.close()

    const other = await worldOf(3, { ...way(), stallMs: 60_000 })
    const [c, d] = other.ranks
    const calls = [c!.join({ timeoutMs: 1500 }), reduce(d!, { length: LONG, timeoutMs: 1500 })]
    for (const error of (await failuresOf<unknown>(calls)) as AdasumError[])
      t.like(error, { code: 'ERR_TIMEOUT', peerRank: 2, operation: 'all-reduce' }, error.message)
    await other.close()
  })

  test(`${name}: ERR_PEER_LOST names the rank that died, joined or not`, async (t) => {
    for (const dead of [0, 1]) {
      const world = await worldOf(3, way())
      const [a, b, c] = world.ranks
      const calls = [a!.join(), reduce(b!, { length: LONG }), sleep(20).then(() => reduce(c!, { length: LONG }))]
      const all = Promise.allSettled(calls)
      await sleep(10)
      world.kill(dead)
      for (const error of (await failuresOf<unknown>(calls.filter((_, rank) => rank !== dead))) as AdasumError[])
        t.like(error, { code: 'ERR_PEER_LOST', peerRank: dead }, `rank ${dead}: ${error.message}`)
      await all
      await world.close()
    }
  })

  test(`${name}: a rank that closes without joining ends the join of the others`, async (t) => {
    for (const isConnected of [true, false])
      for (const isLate of [true, false]) {
        const world = await makeWorld(3, { ...way(), isConnected })
        const [a, b, c] = world.ranks
        const join = (): Promise<unknown>[] => [a!.join(), b!.join()]
        const early = isLate ? join() : []
        void Promise.allSettled(early)
        if (isLate) await sleep(5)
        await c!.close()
        for (const error of (await failuresOf<unknown>(isLate ? early : join())) as AdasumError[]) {
          t.like(error, { code: 'ERR_PEER_LOST', peerRank: 2 }, error.message)
          t.regex(error.message, /closed its communicator/)
        }
        await world.close()
      }
  })

  test(`${name}: a rank may close as soon as it has joined, and while it waits for that`, async (t) => {
    for (const isConnected of [true, false]) {
      const world = await makeWorld(4, { ...way(), isConnected })
      const joined = await onAll(world.ranks, async (comm, rank) => {
        for (let turn = 0; turn < 3 * rank; turn++) await nextTurn()
        const join = comm.join()
        const closed = rank === 0 ? comm.close() : join.then(() => comm.close())
        return (await Promise.all([join, closed]))[0]
      })
      t.deepEqual(joined, Array<unknown>(4).fill({ lastRank: 3 }))
    }
  })
}

test('aborting a join ends the group', async (t) => {
  const world = await worldOf(2)
  const controller = new AbortController()
  const calls = [world.ranks[0]!.join({ signal: controller.signal }), sleep(20).then(() => reduce(world.ranks[1]!))]
  const errors = failuresOf<unknown>(calls)
  await sleep(5)
  controller.abort()
  for (const error of (await errors) as AdasumError[]) t.like(error, { code: 'ERR_ABORTED', rank: 0 }, error.message)
  await world.close()
})

test('a join lasts as long as the others make calls, whatever its deadline', async (t) => {
  const world = await worldOf(3)
  const [a, b, c] = world.ranks
  const join = a!.join({ timeoutMs: 500 })
  for (let step = 0; step < 5; step++) {
    await sleep(200)
    await Promise.all([reduce(b!), sleep(100).then(() => reduce(c!))])
  }
  t.deepEqual(await Promise.all([join, b!.join(), c!.join()]), Array<unknown>(3).fill({ lastRank: 2 }))
  await world.close()
})

test('what stands still is reported with the ranks that hold it up', async (t) => {
  const { world, reports } = await worldWithReports(t, 3, { stallMs: 150 })
  const [a, b, c] = world.ranks
  const waitedFor = ({ waitingFor }: StallReport): number[] => waitingFor.map(({ rank }) => rank)
  const join = a!.join()
  while (reports.length < 1) await sleep(5)
  t.like(reports[0], { title: 'join #1', operation: 'join', sequence: 1, what: 'join', rank: 0 })
  t.deepEqual([waitedFor(reports[0]!), reports[0]!.notHeard], [[1, 2], [1, 2]]) // prettier-ignore
  const call = reduce(b!)
  while (reports.length < 3) await sleep(5)
  for (const [rank, report] of reports
    .slice(1)
    .toSorted((x, y) => x.rank - y.rank)
    .entries()) {
    // prettier-ignore
    t.like(report, { title: 'all-reduce #3', rank, laterCallCount: 0 })
    t.deepEqual([waitedFor(report), report.arrived, report.notHeard], [[2], [1 - rank], [2]])
  }
  await Promise.all([call, reduce(c!)])
  await Promise.all([join, b!.join(), c!.join()])
  await world.close()
})

// ---- what a peer may say

/** What rank 0 makes of the words of a rank 1 that never calls or joins by itself. */
async function verdictOn(t: ExecutionContext, words: readonly Word[], hasJoined: boolean): Promise<AdasumError> {
  const world = await worldOf(2)
  const call = hasJoined ? world.ranks[0]!.join({ timeoutMs: 500 }) : reduce(world.ranks[0]!, { timeoutMs: 500 })
  say(world, 1, ...words)
  const [error] = (await failuresOf<unknown>([call])) as AdasumError[]
  t.true(error instanceof AdasumError)
  await world.close()
  return error!
}

test('JOIN frames that cannot be are refused', async (t) => {
  const cases: [what: string, words: Word[], message: RegExp][] = [
    ['number 0', [JOIN(0)], /sent that it has joined at #0, where only numbers above #0 can be/],
    ['the number of a message', [JOIN(2 ** 52)], /sent that it has joined at #4503599627370496/],
    ['the number of a join', [JOIN(2 ** 51)], /sent that it has joined at #2251799813685248/],
  ]
  for (const [what, words, message] of cases)
    for (const hasJoined of [false, true]) {
      const error = await verdictOn(t, words, hasJoined)
      t.is(error.code, 'ERR_MISMATCH', what)
      t.regex(error.message, message, what)
    }
})

test('a rank cannot join before calls that it has begun', async (t) => {
  for (const begun of [4, 5]) {
    const error = await verdictOn(t, [CALL(begun), JOIN(4)], false)
    t.is(error.code, 'ERR_MISMATCH')
    t.regex(error.message, new RegExp(`joined at #4, after it had begun #${begun}`))
  }
})

test('a rank cannot join twice before the others have, nor before its last join', async (t) => {
  const twice = await verdictOn(t, [JOIN(3), JOIN(4)], false)
  t.is(twice.code, 'ERR_MISMATCH')
  t.regex(twice.message, /sent that it has joined again, before this rank has joined/)
  for (const again of [[10, 11], [9], [8]]) {
    const error = await verdictOn(t, [JOIN(9), ...again.map(JOIN)], true)
    t.like(error, { code: 'ERR_MISMATCH' }, `${again.join()}: ${error.message}`)
  }
  // After a join that has ended at #3.
  for (const sequence of [2, 3]) {
    const world = await worldOf(2)
    await Promise.all(world.ranks.map((comm) => comm.join()))
    say(world, 1, JOIN(sequence))
    const [error] = (await failuresOf([reduce(world.ranks[0]!)])) as AdasumError[]
    t.like(error, { code: 'ERR_MISMATCH' })
    t.regex(error!.message, /where only numbers above #3 can be/)
    await world.close()
  }
})

test('ranks that have all joined, and disagree on what they had begun', async (t) => {
  const world = await worldOf(3)
  const [a] = world.ranks
  const call = a!.join()
  // Rank 1 says that it has joined at #3, and speaks of #3 nevertheless.
  say(world, 1, JOIN(3), CALL(3, await descriptorOfShortCall()))
  await new Promise((resolve) => setTimeout(resolve, 20))
  say(world, 2, JOIN(3))
  const [error] = (await failuresOf<unknown>([call])) as AdasumError[]
  t.like(error, { code: 'ERR_MISMATCH' })
  t.regex(error!.message, /every rank has said that it has joined before collective #3/)
  await world.close()
})

test('a rank that has joined again, at a number that was used up by the join before', async (t) => {
  const world = await worldOf(3)
  const [a] = world.ranks
  const call = reduce(a!)
  const join = a!.join()
  const failures = failuresOf<unknown>([call, join])
  say(world, 1, JOIN(3), JOIN(4))
  await sleep(20)
  say(world, 2, JOIN(3))
  for (const error of (await failures) as AdasumError[]) {
    t.like(error, { code: 'ERR_MISMATCH' })
    t.regex(error.message, /rank 1 has joined at #4, and #4 was over/)
  }
  await world.close()
})

test('a JOIN frame with a number that is never reached ends in ERR_TIMEOUT, which names its sender', async (t) => {
  t.like(await verdictOn(t, [JOIN(1e9)], true), { code: 'ERR_TIMEOUT', peerRank: 1, operation: 'join' })
})

test('a JOIN frame has no payload', async (t) => {
  const world = await worldOf(2)
  const { receiver } = world.groups[0]!.linkTo(1)
  const header = {
    kind: 'join',
    sequence: 3,
    step: 0,
    rankFlags: 0,
    weight: 0,
    credit: 0,
    descriptor: UNKNOWN,
  } as const
  t.throws(() => receiver.begin({ ...header, payloadByteLength: 8 }), {
    code: 'ERR_MISMATCH',
    message: /a join frame with 8/,
  })
  await world.close()
})

test('a JOIN frame on a connection that the peer only reads is refused; after a goodbye it is not looked at', async (t) => {
  const world = await worldOf(2)
  const call = reduce(world.ranks[0]!, { timeoutMs: 500 })
  world.pipe(1, 0).write(encodeFrame('join', { sequence: 3 }))
  const [error] = (await failuresOf([call])) as AdasumError[]
  t.regex(error!.message, /a join frame on a connection that it only reads/)
  await world.close()
  const gone = await verdictOn(t, [(link) => link.goodbye(2)], true)
  t.like(gone, { code: 'ERR_PEER_LOST', peerRank: 1 })
  t.regex(gone.message, /closed its communicator after collective #2; join #1 needs it. Call join on every rank/)
})

test('whatever a peer says of joins and calls, a rank ends with an error of ours, or goes on', async (t) => {
  const word = fc.record({
    kind: fc.constantFrom('join', 'join', 'call', 'call', 'goodbye'),
    sequence: fc.oneof(fc.nat(6), fc.nat(6), fc.constantFrom(2 ** 51, 2 ** 51 + 1, 2 ** 52, 2 ** 52 + 1, 2 ** 52 + 2)),
    isKnown: fc.boolean(),
  })
  const known = await descriptorOfShortCall()
  await fc.assert(
    fc.asyncProperty(fc.array(word, { maxLength: 6 }), fc.boolean(), async (words, isJoin) => {
      const world = await worldOf(2)
      const [a] = world.ranks
      const call = isJoin ? a!.join({ timeoutMs: 60 }) : reduce(a!, { timeoutMs: 60 })
      for (const { kind, sequence, isKnown } of words) {
        const link = world.groups[1]!.linkTo(0)
        if (kind === 'join') link.join(sequence).catch(() => undefined)
        else if (kind === 'call') link.announce(sequence, isKnown ? known : UNKNOWN)
        else void link.goodbye(sequence)
      }
      const [result] = await Promise.allSettled([call])
      if (result.status === 'rejected') t.true(result.reason instanceof AdasumError, String(result.reason))
      await world.close()
    }),
    { numRuns: runsOf(60) },
  )
  t.pass()
})
