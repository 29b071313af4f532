/** Sub-groups: who is in them, that they live side by side, and how they end. */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import test from 'ava'
import { AdasumError } from '../../ts/src/errors.ts'
import { Connections } from '../../ts/src/world/connections.ts'
import { Departures } from '../../ts/src/world/departures.ts'
import { createMemoryTransport } from '../transport/_memory.ts'
import { tcp } from '../../ts/src/transport/tcp.ts'
import { fc, runsOf } from '../_property.ts'
import type { Pipe, Transport } from '../../ts/src/transport/transport.ts'
import { failuresOf, makeWorld, onAll } from '../_world.ts'

for (const transport of [undefined, tcp])
  test(`${transport?.name ?? 'memory'}: ranks of a color meet, ordered by key; those without a color stay out`, async (t) => {
    const world = await makeWorld(5, transport ? { transport } : {})
    const colors = [0, 1, 0, undefined, 0]
    const keys = [5, 0, -1, 0, 5]
    const groups = await onAll(world.ranks, (comm, rank) => comm.split(colors[rank], keys[rank]))
    t.deepEqual(
      groups.map((group) => group && [group.rank, group.size]),
      [[1, 3], [0, 1], [0, 3], undefined, [2, 3]],
    )
    const gathered = await Promise.all(
      groups.map(async (group, rank) => group && [...(await group.allGather(Float32Array.of(rank)))]),
    )
    t.deepEqual(gathered, [[2, 0, 4], [1], [2, 0, 4], undefined, [2, 0, 4]])
    await world.close()
  })

test('any colors and keys: every group sums over its own ranks, while the world sums over all', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ color: fc.option(fc.nat(2)), key: fc.integer({ min: -3, max: 3 }) }), {
        minLength: 1,
        maxLength: 5,
      }),
      async (places) => {
        const world = await makeWorld(places.length)
        const colorOf = (rank: number): number | undefined => places[rank]!.color ?? undefined
        const groups = await onAll(world.ranks, (comm, rank) => comm.split(colorOf(rank), places[rank]!.key))
        const sums = await Promise.all(
          world.ranks.map(async (comm, rank) => {
            const own = groups[rank]?.allReduce(Float64Array.of(2 ** rank), { op: 'sum' })
            const all = comm.allReduce(Float64Array.of(2 ** rank), { op: 'sum' })
            return [(await own)?.result[0], (await all).result[0]]
          }),
        )
        const sumOf = (color: number): number =>
          places.reduce((sum, place, rank) => sum + (place.color === color ? 2 ** rank : 0), 0)
        const want = places.map(({ color }) => [color === null ? undefined : sumOf(color), 2 ** places.length - 1])
        t.deepEqual(sums, want)
        await world.close()
      },
    ),
    { numRuns: runsOf(20) },
  )
})

test('a group of a group; one that fails leaves the others alone', async (t) => {
  const world = await makeWorld(4)
  const halves = await onAll(world.ranks, (comm, rank) => comm.split(rank >> 1))
  const pairs = await Promise.all(halves.map((half) => half!.split(0, -half!.rank)))
  t.deepEqual(
    pairs.map((pair) => pair!.rank),
    [1, 0, 1, 0],
  )
  const wrong = pairs.map((pair, rank) =>
    rank < 2 ? pair!.allReduce(new Float32Array(1 + pair!.rank), { op: 'sum' }) : pair!.barrier(),
  )
  const [first, second, ...others] = await Promise.allSettled(wrong)
  for (const result of [first, second]) {
    const error = (result as PromiseRejectedResult).reason as AdasumError
    t.is(error.code, 'ERR_MISMATCH')
    t.regex(error.message, /^all-reduce #1 in the group of color 0 .* differs/)
  }
  t.true(others.every(({ status }) => status === 'fulfilled'))
  await Promise.all(halves.map((half) => half!.barrier()))
  await onAll(world.ranks, (comm) => comm.barrier())
  await world.close()
  await t.throwsAsync(halves[0]!.barrier(), { code: 'ERR_CLOSED' })
})

test('a group closes by itself, and the world goes on', async (t) => {
  const world = await makeWorld(2)
  const groups = await onAll(world.ranks, (comm) => comm.split(0))
  await Promise.all(groups.map((group) => group!.close()))
  await onAll(world.ranks, (comm) => comm.barrier())
  await world.close()
  t.pass()
})

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

type Memory = ReturnType<typeof process.memoryUsage>

test.serial('groups that have been closed leave no memory behind', async (t) => {
  const world = await makeWorld(3, { transport: tcp })
  const use = async (count: number): Promise<Memory> => {
    for (let i = 0; i < count; i++) {
      const groups = await onAll(world.ranks, (comm) => comm.split(0))
      await Promise.all(groups.map((group) => group!.barrier()))
      await Promise.all(groups.map((group) => group!.close()))
    }
    for (let turn = 0; turn < 4; turn++) {
      await nextTurn()
      collect()
    }
    return process.memoryUsage()
  }
  const before = await use(4)
  const after = await use(24)
  const grown = after.arrayBuffers - before.arrayBuffers
  // Six links a group, with a buffer of 64 KiB each.
  t.true(grown < 2 << 20, `${grown} bytes more after 24 groups`)
  const settled = await use(100)
  // Counters, the flight record and names of a group are 8 KB on each rank; what is kept is how it has ended.
  const kept = (settled.heapUsed - after.heapUsed) / 100 / world.ranks.length
  t.true(kept < 4500, `${kept} bytes a group and rank`)
  await world.close()
})

async function pipesOf(transport: Transport): Promise<[dialled: Pipe, accepted: Pipe]> {
  const accepted: Pipe[] = []
  const listener = await transport.listen('127.0.0.1', 0, (pipe) => accepted.push(pipe))
  const dialled = await transport.dial('127.0.0.1', listener.port)
  while (accepted.length === 0) await nextTurn()
  await listener.close()
  return [dialled, accepted[0]!]
}

/** Empty if the connection ends first. */
function firstBytesOf(pipe: Pipe): Promise<string> {
  const spill = Buffer.alloc(100)
  return new Promise((resolve) => {
    const filled = (byteLength: number): void => resolve(spill.toString('utf8', 0, byteLength))
    pipe.setSink({ target: () => spill, onFilled: filled, onEnd: () => resolve('') })
  })
}

test('of groups that have been closed the last thousands are known by how they have ended', async (t) => {
  const dial = (): Promise<never> => Promise.reject(new Error('nobody is dialled'))
  const connections = new Connections(dial, new Departures(0, 2, dial))
  const idOf = (index: number): string => index.toString(16).padStart(16, '0')
  for (let index = 0; index < 10_000; index++) connections.remove(idOf(index), [0, 1], Buffer.from(`end ${index}`))
  const come = async (index: number, worldRank: number): Promise<{ pipe: Pipe; heard: Promise<string> }> => {
    const [pipe, accepted] = await pipesOf(createMemoryTransport())
    connections.accept(worldRank, idOf(index), accepted)
    return { pipe, heard: firstBytesOf(pipe) }
  }
  for (const index of [9999, 9000, 7000]) t.is(await (await come(index, 1)).heard, `end ${index}`)
  t.is(await (await come(9999, 2)).heard, '', 'no member')
  // Long forgotten: as if it were still to come.
  const { pipe, heard } = await come(100, 1)
  t.is(await Promise.race([heard, sleep(50, 'nothing')]), 'nothing')
  pipe.destroy()
  connections.close()
})

test('whoever comes after a group has been closed is told so', async (t) => {
  const world = await makeWorld(2, { isConnected: false })
  const [first, second] = await onAll(world.ranks, (comm) => comm.split(0))
  await first!.close()
  const [error] = await failuresOf([second!.barrier()])
  t.like(error, { code: 'ERR_PEER_LOST', peerRank: 0 })
  t.regex(error!.message, /Rank 0 .* closed its communicator after collective #0; barrier #1 in the group of color 0/)
  await world.close()
})

test('a color must be a whole number or undefined, a key any whole number; only that call fails', async (t) => {
  const world = await makeWorld(2)
  for (const [color, key, message] of [
    [-1, 0, /color is -1/],
    [0.5, 0, /color is 0.5/],
    [0, NaN, /key is NaN/],
    ['one', 0, /color is one/],
  ] as const)
    await t.throwsAsync(world.ranks[0]!.split(color as number, key), {
      instanceOf: AdasumError,
      code: 'ERR_ARGUMENT',
      message,
    })
  await onAll(world.ranks, (comm) => comm.barrier())
  await world.close()
})

test('a rank that a group cannot reach is named by its number there, and by that in the world', async (t) => {
  const world = await makeWorld(3, { isConnected: false })
  const groups = await onAll(world.ranks, (comm) => comm.split(7, -comm.rank))
  world.kill(0)
  for (const error of await failuresOf(groups.slice(1).map((group) => group!.barrier()))) {
    t.like(error, { code: 'ERR_PEER_LOST', peerRank: 2 })
    t.regex(error.message, /Rank 2 in the group of color 7 \(split #1\) is rank 0 of the world, and rank 0 cannot be /)
  }
  await world.close()
})
