/** All-reduce by levels where inputs are not finite, or a rank gives up. */
import test from 'ava'
import { createMemoryTransport } from '../transport/_memory.ts'
import { sampleOf } from '../_sample.ts'
import { bitsOf, failuresOf, makeWorld, onAll } from '../_world.ts'
import { OPS, check, inputsOf, worldsOf } from './_levels.ts'

test.serial('skip leaves ranks out at any level, whole subtrees too', async (t) => {
  for await (const { algorithm, size, world } of worldsOf({ levels: [17, 40], rvh: [16] })) {
    const ranks = [...Array(size).keys()]
    const half = Math.ceil(size / 2)
    const some = [[3], ranks.slice(0, half), ranks.slice(half), ranks.slice(1), ranks.filter((rank) => rank % 3 !== 1)]
    for (const [i, bad] of some.entries())
      for (const [j, segments] of [[600], [9000, 20_000]].entries())
        await check(t, world, size, { algorithm, op: OPS[(i + j) % 2]!, segments, onNonFinite: 'skip', bad })
  }
})

test.serial('if all are left out the result is zero', async (t) => {
  for await (const { algorithm, size, world } of worldsOf({ levels: [18], rvh: [16] })) {
    for (const length of [20, 40_000]) {
      const options = { op: 'adasum', algorithm, onNonFinite: 'skip' } as const
      const inputs = world.ranks.map((_, rank) => new Float32Array(length).fill(rank).fill(Infinity, rank, rank + 1))
      const got = await onAll(world.ranks, (comm, rank) =>
        comm.allReduce(inputs[rank]!.slice(), { ...options, ...(rank % 2 && { out: new Float32Array(length) }) }),
      )
      for (const { result, nonFiniteRanks, segments } of got) {
        t.is(bitsOf(result), bitsOf(new Float32Array(length)))
        t.is(nonFiniteRanks.length, size)
        t.is(segments[0]!.orthogonality, NaN)
      }
    }
  }
})

test.serial(
  'throw refuses on all ranks alike, names all, leaves every buffer alone, and the group lives on',
  async (t) => {
    const transportOf = (seed: number) => createMemoryTransport({ seed, maxChunkByteLength: 30_000 })
    for await (const { algorithm, size, world } of worldsOf({ levels: [17, 40], rvh: [16] }, transportOf)) {
      const cases = [[0], [size - 1], [2, 9, size - 2]].flatMap((bad) =>
        [[50], [20_000, size === 17 ? 300_000 : 1]].map((segments) => ({ algorithm, segments, bad })),
      )
      for (const one of sampleOf(`${algorithm} of ${size} ranks`, cases, 3)) {
        const { segments, bad } = one
        const inputs = inputsOf(size, one)
        const data = inputs.map((input) => input.slice())
        const errors = await failuresOf(
          world.ranks.map((comm, rank) =>
            comm.allReduce(data[rank]!, {
              op: 'adasum',
              algorithm,
              segments,
              ...(rank % 2 && { out: data[rank]!.slice() }),
            }),
          ),
        )
        for (const [rank, error] of errors.entries()) {
          t.like(error, { code: 'ERR_NON_FINITE' })
          t.true(
            error.message.includes(`${bad.length} of ${size} ranks is not finite (rank ${bad.join(', ')})`),
            error.message,
          )
          t.is(bitsOf(data[rank]!), bitsOf(inputs[rank]!))
        }
        await check(t, world, size, { algorithm, segments })
      }
    }
  },
)

test.serial('propagate computes on: what is not finite shows on every rank', async (t) => {
  const size = 20
  const world = await makeWorld(size)
  const got = await onAll(world.ranks, (comm, rank) =>
    comm.allReduce(new Float32Array(5000).fill(1, 0, 4000).fill(rank === 7 ? NaN : 2, 4000), {
      op: 'adasum',
      segments: [4000, 1000],
      onNonFinite: 'propagate',
    }),
  )
  for (const { result, segments, nonFiniteRanks } of got) {
    t.true(Math.abs(result[0]! - 1) < 1e-6 && Number.isNaN(result[4999]))
    t.true(Math.abs(segments[0]!.orthogonality! * size - 1) < 1e-6)
    t.is(segments[1]!.orthogonality, NaN)
    t.deepEqual(nonFiniteRanks, [])
  }
  await world.close()
})

test.serial(
  'an abort on one rank, while another has not come, fails the call on all and leaves their data alone',
  async (t) => {
    for (const [algorithm, size] of [
      ['levels', 20],
      ['rvh', 8],
    ] as const) {
      for (const length of [500, 400_000]) {
        const world = await makeWorld(size)
        const inputs = inputsOf(size, { algorithm, segments: [length] }) as Float32Array[]
        const data = inputs.map((input) => input.slice())
        const controller = new AbortController()
        const calls = world.ranks
          .slice(0, -1)
          .map((comm, rank) =>
            comm.allReduce(data[rank]!, { op: 'adasum', algorithm, ...(rank === 3 && { signal: controller.signal }) }),
          )
        setTimeout(() => controller.abort(new Error('enough')), 50)
        for (const error of await failuresOf(calls)) t.like(error, { code: 'ERR_ABORTED', rank: 3 })
        t.deepEqual(data.map(bitsOf), inputs.map(bitsOf))
        await world.close()
      }
    }
  },
)
