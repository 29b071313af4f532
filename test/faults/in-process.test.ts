/** What goes wrong among ranks of one process: over memory with chunks of random sizes, and over sockets. */
import { inspect } from 'node:util'
import anyTest from 'ava'
import { AdasumError } from '../../ts/src/errors.ts'
import type { Communicator } from '../../ts/src/communicator/communicator.ts'
import { createMemoryTransport } from '../transport/_memory.ts'
import { tcp } from '../../ts/src/transport/tcp.ts'
import { striped } from '../transport/_striped.ts'
import { failuresOf, makeWorld, onAll, vectorOf } from '../_world.ts'

// One after the other: deadlines are short, and large messages keep the event loop busy.
const test = anyTest.serial

const unchanged = (arrays: Float32Array[], copies: Float32Array[]): boolean =>
  arrays.every((array, i) => Buffer.compare(new Uint8Array(array.buffer), new Uint8Array(copies[i]!.buffer)) === 0)

const TRANSPORTS = {
  memory: () => createMemoryTransport({ seed: 7, maxChunkByteLength: 30_000 }),
  tcp: () => tcp,
  '3 of memory': () => striped(createMemoryTransport({ seed: 8, maxChunkByteLength: 30_000 }), 3, 20_000),
  '2 of tcp': () => striped(tcp, 2),
}
const SMALL = 100
const LARGE = 2_000_000

type Call = (comm: Communicator, data: Float32Array) => Promise<unknown>
const adasum: Call = (comm, data) => comm.allReduce(data, { op: 'adasum' })
const DEVIATIONS: Record<string, Call> = {
  'another op': (comm, data) => comm.allReduce(data, { op: 'sum' }),
  'another length': (comm, data) => comm.allReduce(new Float32Array(data.length + 1), { op: 'adasum' }),
  'another dtype': (comm, data) => comm.allReduce(new Float64Array(data.length), { op: 'adasum' }),
  'other segments': (comm, data) => comm.allReduce(data, { op: 'adasum', segments: [1, data.length - 1] }),
  'other names': (comm, data) => comm.allReduce({ weights: data }, { op: 'adasum' }),
  'another policy': (comm, data) => comm.allReduce(data, { op: 'adasum', onNonFinite: 'skip' }),
  'another collective': (comm, data) => comm.broadcast(data),
  'a barrier': (comm) => comm.barrier(),
  coefficients: (comm, data) => comm.allReduce(data, { op: 'adasum', coefficients: true }),
}

for (const [name, transport] of Object.entries(TRANSPORTS)) {
  for (const length of [SMALL, LARGE]) {
    test(`${name}, ${length} elements: a rank that calls something else fails the group with both sides printed`, async (t) => {
      for (const [what, deviate] of Object.entries(DEVIATIONS)) {
        const world = await makeWorld(3, { transport: transport() })
        const data = world.ranks.map((_, rank) => vectorOf(new Float32Array(length), rank))
        const copies = data.map((array) => array.slice())
        const errors = await failuresOf(
          world.ranks.map((comm, rank) => (rank === 1 ? deviate : adasum)(comm, data[rank]!)),
        )
        for (const error of errors) {
          t.true(error instanceof AdasumError, what)
          t.is((error as AdasumError).code, 'ERR_MISMATCH', `${what}: ${error.message}`)
          t.regex(error.message, /#1 differs\. Rank \d.*; rank \d.*Call the same/, what)
        }
        t.true(unchanged(data, copies), what)
        await world.close()
      }
    })
  }

  test(`${name}: another root is a mismatch`, async (t) => {
    const world = await makeWorld(3, { transport: transport() })
    const errors = await failuresOf(
      world.ranks.map((comm, rank) => comm.broadcast(new Float32Array(LARGE), { root: rank === 1 ? 1 : 0 })),
    )
    t.deepEqual(
      errors.map((error) => (error as AdasumError).code),
      ['ERR_MISMATCH', 'ERR_MISMATCH', 'ERR_MISMATCH'],
    )
    await world.close()
  })

  test(`${name}: a rank that does not come is named after timeoutMs, and every call throws that first cause`, async (t) => {
    const world = await makeWorld(3, { transport: transport(), timeoutMs: 500 })
    await onAll(world.ranks, (comm) => comm.barrier())
    const errors = await failuresOf(
      world.ranks.slice(0, 2).map((comm, rank) => adasum(comm, vectorOf(new Float32Array(LARGE), rank))),
    )
    for (const error of errors as AdasumError[]) {
      t.is(error.code, 'ERR_TIMEOUT')
      t.regex(
        error.message,
        /all-reduce #2 \(adasum f32\[2000000\]\) made no progress for 500 ms on rank [01], which waits for .*rank 2/,
      )
      t.is(error.sequence, 2)
      t.is(error.lastCompleted, 1)
    }
    const [late] = (await failuresOf([world.ranks[2]!.barrier()])) as AdasumError[]
    t.is(late!.code, 'ERR_TIMEOUT')
    await world.close()
  })

  test(`${name}: an abort on one rank ends the call on all, with buffers unchanged`, async (t) => {
    const world = await makeWorld(4, { transport: transport() })
    const data = world.ranks.map((_, rank) => vectorOf(new Float32Array(LARGE), rank))
    const copies = data.map((array) => array.slice())
    const controller = new AbortController()
    const calls = world.ranks
      .slice(0, 3)
      .map((comm, rank) =>
        comm.allReduce(data[rank]!, { op: 'adasum', ...(rank === 1 && { signal: controller.signal }) }),
      )
    const reason = new Error('enough')
    setTimeout(() => controller.abort(reason), 50)
    const errors = (await failuresOf(calls)) as AdasumError[]
    for (const error of errors) {
      t.is(error.code, 'ERR_ABORTED')
      t.is(error.rank, 1)
    }
    const [later] = (await failuresOf([world.ranks[1]!.barrier()])) as AdasumError[]
    for (const error of [errors[1]!, later!]) {
      t.is(error.cause, reason)
      t.is(inspect(error).split('was aborted by its caller').length, 2, 'it is said once')
    }
    t.true(unchanged(data, copies))
    await world.close()
  })

  test(`${name}: aborted before anything was sent, only that call fails`, async (t) => {
    const world = await makeWorld(2, { transport: transport() })
    const signal = AbortSignal.abort()
    const [error] = (await failuresOf([world.ranks[0]!.barrier({ signal })])) as AdasumError[]
    t.is(error!.code, 'ERR_ABORTED')
    await onAll(world.ranks, (comm) => comm.barrier())
    await world.close()
  })

  test(`${name}: a broken connection is peer loss at once, on every rank`, async (t) => {
    for (const length of [SMALL, LARGE]) {
      const world = await makeWorld(4, { transport: transport() })
      const data = world.ranks.map((_, rank) => vectorOf(new Float32Array(length), rank))
      const copies = data.map((array) => array.slice())
      const calls = world.ranks.slice(0, 3).map((comm, rank) => adasum(comm, data[rank]!))
      await new Promise((resolve) => setTimeout(resolve, 20))
      for (const rank of [0, 1, 2]) {
        world.pipe(rank, 3).destroy()
        world.pipe(3, rank).destroy()
      }
      for (const error of (await failuresOf(calls)) as AdasumError[]) {
        t.is(error.code, 'ERR_PEER_LOST', error.message)
        t.is(error.peerRank, 3)
        t.regex(error.message, /Lost rank 3 .*: its connection ended (without a goodbye|inside a frame)/)
        t.truthy(error.peerAddress)
        t.is(error.operation, 'all-reduce')
      }
      t.true(unchanged(data, copies))
      await world.close()
    }
  })

  test(`${name}: a rank that has closed is missed by the next call only`, async (t) => {
    const world = await makeWorld(3, { transport: transport() })
    await onAll(world.ranks, (comm, rank) => adasum(comm, vectorOf(new Float32Array(SMALL), rank)))
    await world.ranks[2]!.close()
    for (const error of (await failuresOf(world.ranks.slice(0, 2).map((comm) => comm.barrier()))) as AdasumError[]) {
      t.is(error.code, 'ERR_PEER_LOST')
      t.regex(error.message, /Rank 2 .*closed its communicator after collective #1/)
    }
    const [own] = (await failuresOf([world.ranks[2]!.barrier()])) as AdasumError[]
    t.is(own!.code, 'ERR_CLOSED')
    await world.close()
  })

  test(`${name}: two groups awaited in opposite orders at 32 MiB do not block each other`, async (t) => {
    const [first, second] = [
      await makeWorld(2, { transport: transport() }),
      await makeWorld(2, { transport: transport() }),
    ]
    const array = (): Float32Array => new Float32Array(8 << 20).fill(1)
    await Promise.all(
      [0, 1].map(async (rank) => {
        const order = rank === 0 ? [first, second] : [second, first]
        const calls = order.map((world) => world.ranks[rank]!.allReduce(array(), { op: 'sum' }))
        for (const call of calls) t.true((await call).result.every((x) => x === 2))
      }),
    )
    await Promise.all([first.close(), second.close()])
  })

  test(`${name}: calls that are not awaited run at once and match by order`, async (t) => {
    const world = await makeWorld(3, { transport: transport() })
    const results = await onAll(world.ranks, (comm, rank) =>
      Promise.all(
        Array.from({ length: 40 }, (_, i) =>
          comm.allReduce(new Float32Array(i % 3 ? 50 : 30_000).fill(i + rank), { op: 'sum' }),
        ),
      ),
    )
    for (const list of results) list.forEach(({ result }, i) => t.true(result.every((x) => x === 3 * i + 3)))
    await world.close()
  })
}

test('a rank far ahead with small calls waits for credit and loses nothing', async (t) => {
  const world = await makeWorld(2, { transport: tcp })
  const count = 300
  const ahead = Array.from({ length: count }, (_, i) => world.ranks[0]!.broadcast(new Float32Array(10_000).fill(i)))
  await new Promise((resolve) => setTimeout(resolve, 100))
  for (let i = 0; i < count; i++) {
    const got = await world.ranks[1]!.broadcast(new Float32Array(10_000))
    t.true(got.every((x) => x === i))
  }
  await Promise.all(ahead)
  await world.close()
})

test('ranks that the failing one has had nothing to do with are told, too: they would wait for each other', async (t) => {
  const world = await makeWorld(4, { isConnected: false })
  const [first, , third, fourth] = world.ranks as [Communicator, Communicator, Communicator, Communicator]
  const controller = new AbortController()
  const failing = first.receive(new Float32Array(SMALL), { from: 1, signal: controller.signal })
  const waiting = third.receive(new Float32Array(SMALL), { from: 3 })
  controller.abort()
  for (const error of await failuresOf([failing, waiting])) t.like(error, { code: 'ERR_ABORTED', rank: 0 })
  t.like((await failuresOf([fourth.barrier()]))[0], { code: 'ERR_ABORTED', rank: 0 })
  await world.close()
})

test('ranks of which each waits for the other to send see that they called different things', async (t) => {
  const world = await makeWorld(2, { timeoutMs: 10_000 })
  const data = new Float32Array(SMALL)
  for (const error of await failuresOf(world.ranks.map((comm, rank) => comm.broadcast(data, { root: 1 - rank })))) {
    t.like(error, { code: 'ERR_MISMATCH' })
    t.regex(error.message, /^broadcast #1 differs/)
  }
  await world.close()
})
