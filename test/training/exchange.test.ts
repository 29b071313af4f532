import test from 'ava'
import { Compressor } from '../../ts/src/compressor.ts'
import type { Communicator } from '../../ts/src/communicator/communicator.ts'
import type { Collectives } from '../../ts/src/training/collectives.ts'
import { DeltaExchange } from '../../ts/src/training/delta-exchange.ts'
import { FlatExchange } from '../../ts/src/training/flat-exchange.ts'
import { weightLayout } from '../../ts/src/optim/weight-layout.ts'
import type { ReduceOp } from '../../ts/src/types.ts'
import { failuresOf, makeWorld, onAll } from '../_world.ts'
import { gaussian, reduceOf, relativeError } from '../optim/_oracle.ts'

const OPS: ReduceOp[] = ['adasum', 'sum', 'average']
const LAYOUT = weightLayout([
  { name: 'kernel', shape: [3, 5], dtype: 'float32' },
  { name: 'bias', shape: [5], dtype: 'float32' },
  { name: 'scale', shape: [], dtype: 'float32' },
])
const SEGMENTS = [15, 5, 1]

for (const size of [1, 2, 3, 5]) {
  for (const op of OPS) {
    test(`${op} of ${size}: values and notes of all ranks`, async (t) => {
      const world = await makeWorld(size)
      t.teardown(() => world.close())
      const inputs = world.ranks.map((_, rank) => gaussian(LAYOUT.elementCount, rank + 1))
      const expected = reduceOf(op, inputs, SEGMENTS)
      await onAll(world.ranks, async (comm, rank) => {
        const exchange = new FlatExchange(comm, LAYOUT, { op }, 2)
        exchange.values.set(inputs[rank]!)
        const { notes, reduction, hasResult } = await exchange.combine([rank + 1, 1000 * rank])
        t.true(relativeError(exchange.values, expected) < 1e-6)
        t.deepEqual(notes, world.ranks.map((_, other) => [other + 1, 1000 * other])) // prettier-ignore
        t.deepEqual(reduction.segments.map(({ name, elementCount }) => [name, elementCount]), [['kernel', 15], ['bias', 5], ['scale', 1]]) // prettier-ignore
        t.true(hasResult)
      })
    })

    test(`${op} of ${size}: start + op(local - start)`, async (t) => {
      const world = await makeWorld(size)
      t.teardown(() => world.close())
      const start = gaussian(LAYOUT.elementCount, 99)
      const locals = world.ranks.map((_, rank) => gaussian(LAYOUT.elementCount, rank + 1))
      const deltas = locals.map((local) => local.map((value, i) => value - start[i]!))
      const expected = reduceOf(op, deltas, SEGMENTS).map((delta, i) => start[i]! + delta)
      await onAll(world.ranks, async (comm, rank) => {
        const exchange = new DeltaExchange(comm, LAYOUT, { op })
        exchange.start.set(start)
        exchange.weights.set(locals[rank]!)
        await exchange.combine()
        t.true(relativeError(exchange.weights, expected) < 1e-6)
        t.deepEqual(exchange.start, start)
        if (size === 1) t.deepEqual(exchange.weights, locals[0])
      })
    })
  }
}

test('values lie in memory of the communicator, if it has some', async (t) => {
  const world = await makeWorld(1)
  t.teardown(() => world.close())
  const [comm] = world.ranks
  const own = comm!.allocate('f32', LAYOUT.elementCount)
  const exchange = new FlatExchange({ ...plain(comm!), allocate: () => own as never }, LAYOUT, { op: 'sum' })
  t.is(exchange.values.buffer, own.buffer)
  t.is(new FlatExchange(plain(comm!), LAYOUT, { op: 'sum' }).values.length, LAYOUT.elementCount)
})

/** What every communicator of an adapter must have, and no more. */
function plain(comm: Communicator): Collectives {
  const { rank, size } = comm
  const [allReduce, broadcast, allGather] = [comm.allReduce.bind(comm), comm.broadcast.bind(comm), comm.allGather.bind(comm)] // prettier-ignore
  return { rank, size, allReduce, broadcast, allGather }
}

test('a rank that is left out has no notes, and the others count themselves', async (t) => {
  const world = await makeWorld(3)
  t.teardown(() => world.close())
  for (const op of OPS) {
    await onAll(world.ranks, async (comm, rank) => {
      const exchange = new FlatExchange(comm, LAYOUT, { op, onNonFinite: 'skip' }, 1)
      exchange.values.set(gaussian(LAYOUT.elementCount, rank))
      if (rank === 1) exchange.values[3] = NaN
      const { notes, reduction } = await exchange.combine([rank + 5])
      t.deepEqual(notes, [[5], undefined, [7]])
      t.deepEqual(reduction.nonFiniteRanks, [1])
    })
  }
})

test('weights count for the values, and not for the notes', async (t) => {
  const world = await makeWorld(3)
  t.teardown(() => world.close())
  const weights = [5, 0, 1]
  for (const op of ['average', 'adasum'] as const) {
    await onAll(world.ranks, async (comm, rank) => {
      const exchange = new FlatExchange(comm, LAYOUT, { op }, 2)
      exchange.values.fill(rank)
      const { notes, reduction } = await exchange.combine([rank + 5, 1000 * rank], weights[rank])
      t.deepEqual(notes, [[5, 0], [6, 1000], [7, 2000]]) // prettier-ignore
      t.deepEqual(reduction.sampleCounts, weights)
      if (op === 'average') t.true(exchange.values.every((value) => Math.abs(value - 2 / 6) < 1e-6))
    })
  }
})

test('where weights are positive, notes need no message of their own, and count all the same', async (t) => {
  const world = await makeWorld(3)
  t.teardown(() => world.close())
  for (const op of ['average', 'adasum', { name: 'adasum', kappa: 0.3 }, { name: 'adascale' }] as const)
    for (const weights of [
      [5, 1, 2 ** 53],
      [3, 3, 3],
    ])
      // prettier-ignore
      await onAll(world.ranks, async (comm, rank) => {
        const [weighted, plain] = ['positive', 'any'].map(
          (range) => new FlatExchange(comm, LAYOUT, { op, onNonFinite: 'skip' }, 2, range as 'any'),
        )
        for (const step of [0, 1]) {
          for (const { values } of [weighted!, plain!]) values.fill(step === 1 && rank === 1 ? NaN : rank)
          const { notes, reduction } = await weighted!.combine([rank + 5, 2 ** 22 + rank], weights[rank])
          const { bytesSent } = (await plain!.combine([rank + 5, 2 ** 22 + rank])).reduction
          t.is(reduction.bytesSent, bytesSent)
          t.deepEqual(notes, [0, 1, 2].map((other) => (step === 1 && other === 1 ? undefined : [other + 5, 2 ** 22 + other]))) // prettier-ignore
          t.deepEqual(reduction.sampleCounts, weights)
        }
      })
})

test('a rank that has joined has no notes', async (t) => {
  const world = await makeWorld(3)
  t.teardown(() => world.close())
  for (const op of ['average', 'adasum'] as const) {
    const exchanges = world.ranks.map((comm) => new FlatExchange(comm, LAYOUT, { op }, 2, 'positive'))
    await Promise.all(exchanges.map((exchange, rank) => exchange.combine([rank, 1], 1)))
    const join = world.ranks[1]!.join()
    const both = await Promise.all([0, 2].map((rank) => exchanges[rank]!.combine([rank + 5, 1000 * rank], rank + 1)))
    for (const { notes, reduction } of both) {
      t.deepEqual(notes, [[5, 0], undefined, [7, 2000]])
      t.deepEqual(reduction.sampleCounts, [1, 0, 3])
    }
    await Promise.all([join, world.ranks[0]!.join(), world.ranks[2]!.join()])
  }
})

for (const [what, optionsOf] of Object.entries({
  compressed: () => ({ op: 'average', compressor: new Compressor({ format: 'int8', blockElementCount: 16 }) }) as const,
  'by machines': () => ({ op: 'adasum', hierarchy: 'average' }) as const,
}))
  test(`${what}: notes come to the bit`, async (t) => {
    const world = await makeWorld(4, { machineOf: (rank) => rank >> 1 })
    t.teardown(() => world.close())
    await onAll(world.ranks, async (comm, rank) => {
      const exchange = new FlatExchange(comm, LAYOUT, { ...optionsOf(), onNonFinite: 'skip' }, 2)
      for (let step = 0; step < 3; step++) {
        exchange.values.set(gaussian(LAYOUT.elementCount, rank + 10 * step))
        if (step === 1 && rank === 2) exchange.values[0] = NaN
        const { notes, reduction } = await exchange.combine([rank, 2 ** 23 + 2 * rank + 1])
        const wanted = world.ranks.map((_, other) => [other, 2 ** 23 + 2 * other + 1])
        t.deepEqual(notes, wanted.map((pair, other) => (step === 1 && other === 2 ? undefined : pair))) // prettier-ignore
        t.deepEqual(reduction.nonFiniteRanks, step === 1 ? [2] : [])
        t.true(exchange.values.every(Number.isFinite))
      }
    })
  })

test('a round in which every rank is left out is dropped', async (t) => {
  const world = await makeWorld(2)
  t.teardown(() => world.close())
  await onAll(world.ranks, async (comm, rank) => {
    const exchange = new DeltaExchange(comm, LAYOUT, { op: 'adasum', onNonFinite: 'skip' })
    exchange.start.fill(2)
    exchange.weights.fill(rank === 0 ? NaN : Infinity)
    const { hasResult } = await exchange.combine()
    t.false(hasResult)
    t.true(exchange.weights.every((weight) => weight === 2))
  })
})

test('a failure leaves the start of the round alone', async (t) => {
  const world = await makeWorld(2)
  t.teardown(() => world.close())
  const exchanges = world.ranks.map((comm) => new DeltaExchange(comm, LAYOUT, { op: 'adasum' }))
  for (const { start, weights } of exchanges) {
    start.fill(1)
    weights.fill(NaN)
  }
  const errors = await failuresOf(exchanges.map((exchange) => exchange.combine()))
  for (const error of errors) t.like(error, { code: 'ERR_NON_FINITE' })
  for (const { start } of exchanges) t.true(start.every((value) => value === 1))
})
