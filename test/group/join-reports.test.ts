/** What errors and counts say of joins. */
import { setTimeout as sleep } from 'node:timers/promises'
import anyTest from 'ava'
import type { AdasumError } from '../../ts/src/errors.ts'
import { createMemoryTransport } from '../transport/_memory.ts'
import { failuresOf, makeWorld, onAll } from '../_world.ts'
import { LONG, reduce, worldOf } from './_joining.ts'

// One after the other: deadlines are short.
const test = anyTest.serial

test('an error about calls that differ says of a rank that has joined that it follows another one', async (t) => {
  for (const isFirst of [true, false]) {
    const transport = createMemoryTransport()
    const world = await worldOf(3, { transport })
    const [a, b, c] = world.ranks
    // The two that call do not hear of each other, and one of them, or the rank that has joined, hears of the other first.
    const deaf = isFirst ? [] : [world.pipe(0, 2)]
    const frozen = [world.pipe(1, 2), world.pipe(2, 1), ...deaf]
    transport.freeze((pipe) => frozen.includes(pipe))
    const join = a!.join()
    await sleep(5)
    const calls = isFirst ? [reduce(c!, { length: LONG }), reduce(b!)] : [reduce(b!), reduce(c!, { length: LONG })]
    const errors = (await failuresOf<unknown>([join, ...calls])) as AdasumError[]
    transport.thaw()
    for (const error of errors) {
      t.like(error, { code: 'ERR_MISMATCH' })
      const words = isFirst
        ? /\. Rank 0( \([^)]*\))?, which has joined and follows another rank: average f32\[40000\]; rank 1( \([^)]*\))?: average f32\[10\]\./
        : /\. Rank 0( \([^)]*\))?, which has joined and follows another rank: average f32\[10\]; rank 2( \([^)]*\))?: average f32\[40000\]\./
      t.regex(error.message, words)
    }
    await world.close()
  }
})

test('a join that waits for a rank which does not take its word names that rank', async (t) => {
  const transport = createMemoryTransport()
  let dialled = 0
  const dial = transport.dial.bind(transport)
  transport.dial = async (...args) => {
    // Rank 0 dials first, and hears of rank 1; rank 1 does not reach rank 0 in time.
    if (++dialled === 2) await sleep(1500)
    return dial(...args)
  }
  const world = await makeWorld(2, { transport, isConnected: false })
  const joins = world.ranks.map((comm, rank) => comm.join({ timeoutMs: 300 + 2000 * rank }))
  const [error] = (await failuresOf<unknown>(joins)) as AdasumError[]
  t.like(error, { code: 'ERR_TIMEOUT', operation: 'join', peerRank: 1 })
  t.regex(error!.message, /which waits for rank 1/)
  await world.close()
})

test('joins that have ended are counted alike on all ranks', async (t) => {
  const world = await worldOf(3)
  const counts = await onAll(world.ranks, async (comm, rank) => {
    const found = [comm.joinCount]
    for (let epoch = 0; epoch < 3; epoch++) {
      for (let call = 0; call < (rank + epoch) % 3; call++) await reduce(comm)
      await comm.join()
      found.push(comm.joinCount)
    }
    return found
  })
  t.deepEqual(counts, Array<number[]>(3).fill([0, 1, 2, 3]))
  await world.close()
})
