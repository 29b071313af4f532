/** Ranks that run out of data one after the other, against the same calls made with weight 0. */
import test from 'ava'
import type { AdasumError } from '../../ts/src/errors.ts'
import { bitsOf, failuresOf, makeWorld, onAll, vectorOf } from '../_world.ts'
import '../_property.ts'

const options = (weight: number) => ({ op: 'average', weight }) as const

test('ranks join one after the other, and the results of the others are those with weight 0', async (t) => {
  const counts = [3, 1, 2]
  const world = await makeWorld(3)
  const joined = await onAll(world.ranks, async (comm, rank) => {
    const results: string[] = []
    for (let batch = 0; batch < counts[rank]!; batch++) {
      const data = vectorOf(new Float32Array(100), 10 * batch + rank)
      const { weights } = await comm.allReduce(data, options(rank + 1))
      results.push(`${bitsOf(data)} ${weights!.join()}`)
    }
    const { lastRank } = await comm.join()
    await comm.barrier()
    return { results, lastRank }
  })
  t.deepEqual(
    joined.map(({ lastRank }) => lastRank),
    [0, 0, 0],
  )
  const oracle = await onAll(world.ranks, async (comm, rank) => {
    const results: string[] = []
    for (let batch = 0; batch < 3; batch++) {
      const data = vectorOf(new Float32Array(100), 10 * batch + rank)
      const { weights } = await comm.allReduce(data, options(batch < counts[rank]! ? rank + 1 : 0))
      results.push(`${bitsOf(data)} ${weights!.join()}`)
    }
    return results
  })
  for (const [rank, { results }] of joined.entries()) t.deepEqual(results, oracle[rank]!.slice(0, counts[rank]))
  await world.close()
})

test('a rank alone joins at once', async (t) => {
  const world = await makeWorld(1)
  t.deepEqual(await world.ranks[0]!.join(), { lastRank: 0 })
  t.deepEqual(await world.ranks[0]!.join({}), { lastRank: 0 })
  await world.ranks[0]!.allReduce(Float32Array.of(1), { op: 'sum' })
  await world.close()
})

test('all ranks join at once, and again', async (t) => {
  const world = await makeWorld(4)
  for (let epoch = 0; epoch < 3; epoch++) {
    const joined = await onAll(world.ranks, (comm) => comm.join())
    t.true(joined.every(({ lastRank }) => lastRank === 3))
  }
  await world.close()
})

test('what a rank that has joined cannot take part in ends the group on all ranks', async (t) => {
  const world = await makeWorld(3)
  await onAll(world.ranks, (comm) => comm.allReduce(new Float32Array(10), options(1)))
  const [a, b, c] = world.ranks
  const errors = (await failuresOf<unknown>([a!.join(), b!.barrier(), c!.barrier()])) as AdasumError[]
  for (const error of errors) t.like(error, { code: 'ERR_UNSUPPORTED', operation: 'barrier', sequence: 2, rank: 0 })
  t.log(errors[1]!.message)
  await world.close()
})
