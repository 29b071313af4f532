/** Every error that names a peer names the right one, over every way in which bytes travel. */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import anyTest from 'ava'
import type { Communicator } from '../../ts/src/communicator/communicator.ts'
import type { AdasumError } from '../../ts/src/errors.ts'
import { createMemoryTransport } from '../../ts/src/transport/memory.ts'
import { HAS_SHARED_MEMORY } from '../../ts/src/transport/shared-memory.ts'
import { tcp } from '../../ts/src/transport/tcp.ts'
import { shared } from '../shared-memory/_memory.ts'
import { failuresOf, makeWorld, onAll } from '../_world.ts'

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
