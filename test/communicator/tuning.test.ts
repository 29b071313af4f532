/** Tuning: rank 0's counts for all, it decides what it says it decides, and it changes no bit. */
import test from 'ava'
import type { Communicator } from '../../ts/src/communicator/communicator.ts'
import { type Binding } from '../../ts/src/binding/binding.ts'
import { loadBinding } from '#binding'
import { connectBy } from '../../ts/src/communicator/connect.ts'
import { chunkElementCount, sliceOf } from '../../ts/src/kernels/slice.ts'
import { adasumSync } from '../../ts/src/reduction/local.ts'
import { makeReducer } from '../../ts/src/reduction/reducer.ts'
import { plainOperation } from '../../ts/src/reduction/operation.ts'
import { bytesOf } from '../../ts/src/tensor/check.ts'
import { dtypeOf } from '../../ts/src/tensor/dtype.ts'
import { layoutOfArray } from '../../ts/src/tensor/layout.ts'
import { createMemoryTransport } from '../transport/_memory.ts'
import type { Pipe, Transport } from '../../ts/src/transport/transport.ts'
import { Vector } from '../../ts/src/tensor/vector.ts'
import { DEFAULT_TUNING, type Tuning } from '../../ts/src/tuning.ts'
import { HEADER_BYTE_LENGTH } from '../../ts/src/wire/frame.ts'
import { fc, runsOf } from '../_property.ts'
import { anyTuning } from '../_tuning.ts'
import { bitsOf, makeWorld, onAll, vectorOf } from '../_world.ts'

/** Ranks, each with a tuning of its own, from its option or its environment. */
function connectAll(tunings: readonly (Partial<Tuning> | string)[]): Promise<Communicator[]> {
  const transport = createMemoryTransport()
  const connecting = tunings.map((own, rank) => {
    const place = { rank, size: tunings.length, store: '127.0.0.1:29500', timeoutMs: 20_000 }
    const isVariable = typeof own === 'string'
    return connectBy(
      { transport },
      isVariable ? place : { ...place, tuning: own },
      isVariable ? { ADASUM_TUNING: own } : {},
    )
  })
  return Promise.all(connecting)
}

const bytesSentOf = async (
  ranks: readonly Communicator[],
  algorithm: 'auto' | 'direct' | 'single-shot',
): Promise<{ sent: number[]; bits: string }> => {
  const inputs = ranks.map((_, rank) => vectorOf(new Float32Array(7000), rank))
  const want = bitsOf(adasumSync(inputs).result)
  const results = await onAll(ranks, (comm, rank) => comm.allReduce(inputs[rank]!, { op: 'adasum', algorithm }))
  const bits = new Set(results.map(({ result }) => bitsOf(result)))
  if (bits.size !== 1 || !bits.has(want)) throw new Error('The ranks do not have the bits of the local function.')
  return { sent: results.map(({ bytesSent }) => bytesSent), bits: want }
}

const HANDED_OUT: [name: string, tunings: (Partial<Tuning> | string)[], schedule: 'direct' | 'single-shot'][] = [
  ['never direct', [{ directByteLength: 0 }, { directByteLength: 1 << 20 }, {}], 'single-shot'],
  ['direct', [{ directByteLength: 28_000 }, { directByteLength: 0 }, { directSize: 2 }], 'direct'],
  ['from the environment', ['directSize=2', {}, 'directSize=16'], 'single-shot'],
  ['none', [{}, { directSize: 2 }, 'directByteLength=0'], 'direct'],
]
for (const [name, tunings, schedule] of HANDED_OUT)
  test(`what rank 0 has counts for all: ${name}`, async (t) => {
    const ranks = await connectAll(tunings)
    t.is(new Set(ranks.map((comm) => JSON.stringify(comm.tuning))).size, 1)
    const other = schedule === 'direct' ? 'single-shot' : 'direct'
    const [auto, same, different] = [
      await bytesSentOf(ranks, 'auto'),
      await bytesSentOf(ranks, schedule),
      await bytesSentOf(ranks, other),
    ]
    t.deepEqual(auto, same)
    t.notDeepEqual(auto.sent, different.sent)
    t.is(auto.bits, different.bits)
    await Promise.all(ranks.map((comm) => comm.close()))
  })

test('groups made by split inherit it, and a world of one has its own', async (t) => {
  const ranks = await connectAll([{ directByteLength: 0 }, {}, {}, {}])
  const groups = await onAll(ranks, (comm, rank) => comm.split(rank === 3 ? undefined : 0))
  for (const group of groups.slice(0, 3)) t.is(group!.tuning.directByteLength, 0)
  const parts = groups.filter((group) => group !== undefined)
  t.deepEqual(await bytesSentOf(parts, 'auto'), await bytesSentOf(parts, 'single-shot'))
  await Promise.all(ranks.map((comm) => comm.close()))
  const alone = await connectBy({ transport: createMemoryTransport() }, { tuning: { directSize: 3 } }, {})
  t.deepEqual(alone.tuning, { ...DEFAULT_TUNING, directSize: 3 })
  await alone.close()
})

/** A network that notes how long each write is. */
function recording(): { transport: Transport; writes: number[] } {
  const inner = createMemoryTransport()
  const writes: number[] = []
  const record = (pipe: Pipe): Pipe => {
    const write = pipe.write.bind(pipe)
    pipe.write = (bytes, done) => {
      writes.push(bytes.length)
      write(bytes, done)
    }
    return pipe
  }
  const transport: Transport = {
    name: 'memory',
    listen: (host, port, accept) => inner.listen(host, port, (pipe) => accept(record(pipe))),
    dial: async (host, port, signal) => record(await inner.dial(host, port, signal)),
  }
  return { transport, writes }
}

const sumOf = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0)

test('a broadcast is scattered from its length on', async (t) => {
  for (const [scatterByteLength, frameCount] of [
    [10_001, 2],
    // The root sends two frames to each of the others, and they one to each other.
    [10_000, 6],
  ] as const) {
    const { transport, writes } = recording()
    const world = await makeWorld(3, { transport, tuning: { ...DEFAULT_TUNING, scatterByteLength } })
    const data = world.ranks.map((_, rank) => new Uint8Array(10_000).fill(rank + 1))
    await onAll(world.ranks, (comm, rank) => comm.broadcast(data[rank]!))
    t.is(sumOf(writes), 2 * 10_000 + frameCount * HEADER_BYTE_LENGTH)
    t.true(data.every((array) => array.every((byte) => byte === 1)))
    await world.close()
  }
})

test('two ranks speak of their inputs afterwards from the length on from which they reduce while they receive', async (t) => {
  for (const [streamByteLength, more] of [
    [400_001, 0],
    [400_000, HEADER_BYTE_LENGTH],
  ] as const) {
    const world = await makeWorld(2, { tuning: { ...DEFAULT_TUNING, streamByteLength } })
    const results = await onAll(world.ranks, (comm, rank) =>
      comm.allReduce(vectorOf(new Float32Array(100_000), rank), { op: 'sum', onNonFinite: 'throw' }),
    )
    for (const { bytesSent } of results) t.is(bytesSent, 400_000 + 2 * HEADER_BYTE_LENGTH + more)
    await world.close()
  }
})

test('large payloads are handed over in writes of their size', async (t) => {
  for (const [writeByteLength, lengths] of [
    [1 << 20, [700_000, 700_000]],
    [1 << 19, [1 << 19, 1 << 19, 700_000 - (1 << 19), 700_000 - (1 << 19)]],
  ] as const) {
    const { transport, writes } = recording()
    const world = await makeWorld(2, { transport, tuning: { ...DEFAULT_TUNING, writeByteLength } })
    await onAll(world.ranks, (comm) => comm.allReduce(new Uint8Array(700_000), { op: 'max' }))
    t.deepEqual(
      writes.filter((length) => length > HEADER_BYTE_LENGTH).toSorted((a, b) => b - a),
      [...lengths],
    )
    await world.close()
  }
})

test('what was received is reduced off the main thread from its length on', async (t) => {
  const binding = loadBinding()
  for (const [offThreadByteLength, isOffThread] of [
    [120_000, true],
    [200_000, false],
  ] as const) {
    let calls = 0
    const counting: Binding = { ...binding, foldAsync: (...args) => (calls++, binding.foldAsync(...args)) }
    const reducer = makeReducer(plainOperation('max'), dtypeOf(new Float32Array(0))!, counting, {
      ...DEFAULT_TUNING,
      offThreadByteLength,
    })
    const layout = layoutOfArray(dtypeOf(new Float32Array(0))!, 15_000)
    const inputs = [0, 1].map((rank) => Vector.of(bytesOf(vectorOf(new Float32Array(15_000), rank))))
    const slice = sliceOf(layout, 0, 15_000, chunkElementCount(4, 2))
    const memory = {
      inputs,
      weights: Float64Array.of(1, 1),
      out: Vector.of(new Uint8Array(60_000)),
      memory: 'pool',
    } as const
    await reducer.reduce({ layout, resultDtype: layout.dtype, slice, ...memory, check: () => undefined })
    t.is(calls > 0, isOffThread)
  }
})

test('results have the same bits whatever the tuning', async (t) => {
  const anyLength = fc.oneof(fc.integer({ min: 1, max: 3000 }), fc.constantFrom(16_384, 16_385, 70_001, 300_001))
  const anyOp = fc.constantFrom('adasum' as const, 'sum' as const, 'max' as const)
  await fc.assert(
    fc.asyncProperty(anyTuning, fc.integer({ min: 2, max: 6 }), anyLength, anyOp, async (tuning, size, length, op) => {
      const [tuned, plain] = [await makeWorld(size, { tuning }), await makeWorld(size)]
      const [bits, want] = await Promise.all(
        [tuned, plain].map(async ({ ranks }) => {
          const inputs = ranks.map((_, rank) => vectorOf(new Float32Array(length), rank))
          const reduced = await onAll(ranks, (comm, rank) => comm.allReduce(inputs[rank]!, { op }))
          const told = await onAll(ranks, (comm, rank) =>
            comm.broadcast(vectorOf(new Float64Array(length), rank), { root: size - 1 }),
          )
          return [...reduced.map(({ result }) => bitsOf(result)), ...told.map(bitsOf)]
        }),
      )
      t.deepEqual(bits, want)
      await Promise.all([tuned.close(), plain.close()])
    }),
    { numRuns: runsOf(60) },
  )
})
