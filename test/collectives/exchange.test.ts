/** Gathers and all-to-alls, even and uneven, and messages between two ranks. */
import test from 'ava'
import { AdasumError } from '../../ts/src/errors.ts'
import { tcp } from '../../ts/src/transport/tcp.ts'
import { createMemoryTransport } from '../transport/_memory.ts'
import { fc, runsOf } from '../_property.ts'
import { failuresOf, makeWorld, onAll } from '../_world.ts'

const TRANSPORTS = { memory: createMemoryTransport, tcp: () => tcp }

/** Element i of what `from` has for `to`. */
const valueOf = (from: number, to: number, i: number): number => from * 1e6 + to * 1e3 + (i % 997)

const partOf = (from: number, to: number, count: number): Float64Array =>
  Float64Array.from({ length: count }, (_, i) => valueOf(from, to, i))

const concat = (parts: readonly Float64Array[]): Float64Array => Float64Array.from(parts.flatMap((part) => [...part]))

for (const [name, create] of Object.entries(TRANSPORTS)) {
  test(`${name}: all-to-all and all-gather with any counts`, async (t) => {
    const count = fc.oneof(fc.nat(3), fc.nat(20_000))
    const matrix = fc
      .integer({ min: 1, max: 4 })
      .chain((size) =>
        fc.array(fc.array(count, { minLength: size, maxLength: size }), { minLength: size, maxLength: size }),
      )
    await fc.assert(
      fc.asyncProperty(matrix, async (counts) => {
        const world = await makeWorld(counts.length, { transport: create() })
        const all = await onAll(world.ranks, (comm, rank) =>
          comm.allToAll(concat(counts[rank]!.map((n, to) => partOf(rank, to, n))), { counts: counts[rank]! }),
        )
        const gathered = await onAll(world.ranks, (comm, rank) =>
          comm.allGather(partOf(rank, 0, counts[rank]![0]!), { uneven: true }),
        )
        const first = counts.map((row) => row[0]!)
        for (const [rank, { result, counts: got }] of all.entries()) {
          t.deepEqual(
            got,
            counts.map((row) => row[rank]!),
          )
          t.deepEqual(result, concat(counts.map((row, from) => partOf(from, rank, row[rank]!))))
          t.deepEqual(gathered[rank]!.counts, first)
          t.deepEqual(gathered[rank]!.result, concat(first.map((n, from) => partOf(from, 0, n))))
        }
        await world.close()
      }),
      { numRuns: runsOf(25) },
    )
  })

  test(`${name}: an even all-to-all needs no counts, whatever the dtype`, async (t) => {
    const world = await makeWorld(3, { transport: create() })
    const results = await onAll(world.ranks, (comm, rank) =>
      comm.allToAll(BigInt64Array.from({ length: 6 }, (_, i) => BigInt(rank * 10 + i))),
    )
    t.deepEqual(
      results.map(({ result }) => [...result].map(Number)),
      [
        [0, 1, 10, 11, 20, 21],
        [2, 3, 12, 13, 22, 23],
        [4, 5, 14, 15, 24, 25],
      ],
    )
    t.deepEqual(results[0]!.counts, [2, 2, 2])
    await world.close()
  })

  test(`${name}: messages between two ranks match by order, beside collectives and each other`, async (t) => {
    const world = await makeWorld(3, { transport: create() })
    const [a, b] = world.ranks as [(typeof world.ranks)[0], (typeof world.ranks)[0]]
    const sizes = [1, 100_000, 3, 40_000, 7]
    // All sends before the collective, all receives after it: nothing that is sent may stand in its way.
    const sends = sizes.map((n, i) => a.send(partOf(0, i, n), { to: 1 }))
    const back = b.send(Float64Array.of(42), { to: 0 })
    await onAll(world.ranks, (comm) => comm.allReduce(new Float32Array(100_000).fill(1), { op: 'sum' }))
    const received = await Promise.all(sizes.map((n) => b.receive(new Float64Array(n), { from: 0 })))
    t.deepEqual(
      received,
      sizes.map((n, i) => partOf(0, i, n)),
    )
    t.deepEqual(await a.receive(new Float64Array(1), { from: 1 }), Float64Array.of(42))
    await Promise.all([...sends, back])
    await world.close()
  })
}

test('thousands of messages that nobody has asked for yet hold up no collective', async (t) => {
  // The last message waits for all others to be received, which takes a loaded machine its time.
  const world = await makeWorld(2, { timeoutMs: 120_000 })
  const [a, b] = world.ranks as [(typeof world.ranks)[0], (typeof world.ranks)[0]]
  const data = new Float32Array(8000)
  const sends = Array.from({ length: 2000 }, () => a.send(data, { to: 1 }))
  await onAll(world.ranks, (comm) => comm.barrier())
  for (let i = 0; i < 2000; i++) await b.receive(new Float32Array(8000), { from: 0 })
  await Promise.all(sends)
  await world.close()
  t.pass()
})

test('named arrays travel as one message', async (t) => {
  const world = await makeWorld(2)
  const made = (): Record<string, Float32Array> => ({ w: new Float32Array(2), b: new Float32Array(1) })
  const [, got] = await Promise.all([
    world.ranks[0]!.send({ w: Float32Array.of(1, 2), b: Float32Array.of(3) }, { to: 1 }),
    world.ranks[1]!.receive(made(), { from: 0 }),
  ])
  t.deepEqual(got, { w: Float32Array.of(1, 2), b: Float32Array.of(3) })
  await world.close()
})

test('a message of another length or dtype is told at both ends', async (t) => {
  const world = await makeWorld(2)
  const errors = await failuresOf<unknown>([
    world.ranks[0]!.send(new Float32Array(5), { to: 1 }),
    world.ranks[1]!.receive(new Float32Array(6), { from: 0 }),
  ])
  for (const error of errors) {
    t.is((error as AdasumError).code, 'ERR_MISMATCH')
    t.regex(error.message, /^message #1 from rank 0 to rank 1 differs\. Rank 0.*: f32\[5\]; rank 1.*: f32\[6\]/)
  }
  await world.close()
})

test('a rank that closes while another waits for its message is missed at once', async (t) => {
  const world = await makeWorld(2)
  const waiting = world.ranks[1]!.receive(new Float32Array(6), { from: 0 })
  await world.ranks[0]!.close()
  t.is((await t.throwsAsync<AdasumError>(waiting))?.code, 'ERR_PEER_LOST')
  await world.close()
})

test('even ones on one rank and uneven ones on another do not mix', async (t) => {
  const world = await makeWorld(2)
  const errors = await failuresOf([
    world.ranks[0]!.allToAll(new Float32Array(4), { counts: [2, 2] }),
    world.ranks[1]!.allToAll(new Float32Array(4)),
  ])
  for (const error of errors) t.is((error as AdasumError).code, 'ERR_MISMATCH')
  await world.close()
})

test('bad arguments fail their call alone', async (t) => {
  const world = await makeWorld(2)
  const [comm] = world.ranks as [(typeof world.ranks)[0]]
  const data = new Float32Array(5)
  const calls: [() => Promise<unknown>, RegExp][] = [
    [() => comm.allToAll(data), /5 elements cannot be cut into 2 equal parts/],
    [() => comm.allToAll(data, { counts: [5] }), /`counts` has 1 numbers for 2 ranks/],
    [() => comm.allToAll(data, { counts: [5, 1] }), /`counts` add up to 6 elements, the data has 5/],
    [() => comm.allToAll(data, { counts: [6, -1] }), /`counts` has -1 in it/],
    [() => comm.allGather(data, { unevn: true } as never), /no option "unevn"/],
    [() => comm.send(data, { to: 0 }), /to is 0; .* not this one \(0\)/],
    [() => comm.send(data, { to: 2 }), /to is 2; it must be one of the ranks 0 to 1/],
    [() => comm.receive(data, {} as never), /from is undefined/],
    [() => comm.send([1] as never, { to: 1 }), /must be a typed array/],
  ]
  for (const [call, message] of calls)
    await t.throwsAsync(call, { instanceOf: AdasumError, code: 'ERR_ARGUMENT', message })
  await onAll(world.ranks, (each) => each.barrier())
  await world.close()
})
