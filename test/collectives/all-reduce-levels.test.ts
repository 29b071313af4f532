/**
 * All-reduce by levels. Where a schedule stores nothing in between (one level), every rank holds the bits of the local
 * function; otherwise all ranks hold the same bits, which are the local function's but for the rounding of what is stored.
 */
import test from 'ava'
import { BLOCK_ELEMENTS } from '../../ts/src/binding/binding.ts'
import { LevelPlanner } from '../../ts/src/collectives/schedule/level-plan.ts'
import { adasumSync } from '../../ts/src/reduction/local.ts'
import { layoutOfArray } from '../../ts/src/tensor/layout.ts'
import { createMemoryTransport } from '../transport/_memory.ts'
import { tcp } from '../../ts/src/transport/tcp.ts'
import { HAS_ALL_CASES } from '../_property.ts'
import { sampleOf } from '../_sample.ts'
import { bitsOf, failuresOf, makeWorld, onAll } from '../_world.ts'
import { F32 } from '../kernels/_layouts.ts'
import { familyOf, relativeError } from '../reduction/_oracle.ts'
import { OPS, SEGMENTS, TOLERANCE, check, familyFor, inputsOf, lengthOf, worldsOf } from './_levels.ts'

const isPowerOfTwo = (size: number): boolean => Number.isInteger(Math.log2(size))

test.serial('sockets, 1 to 16 ranks: each algorithm', async (t) => {
  const sizes = Array.from({ length: 16 }, (_, i) => 1 + i)
  for (const size of sampleOf('1 to 16 ranks', sizes, 6)) {
    const world = await makeWorld(size, { transport: tcp })
    for (const segments of [SEGMENTS[size % 3]!, SEGMENTS[3]!]) {
      for (const algorithm of ['direct', 'single-shot', 'levels'] as const)
        await check(t, world, size, { algorithm, segments, seed: size }, true)
      if (isPowerOfTwo(size)) await check(t, world, size, { algorithm: 'rvh', segments, seed: size }, size <= 2)
    }
    await world.close()
  }
})

for (const dtype of ['f32', 'f64', 'f16', 'bf16'] as const) {
  test.serial(`memory, ${dtype}: recursive vector halving with each operator`, async (t) => {
    for (const size of sampleOf(`rvh, ${dtype}`, [4, 16, 32], 2)) {
      const transport = createMemoryTransport({ seed: size, maxChunkByteLength: 40_000 })
      const world = await makeWorld(size, { transport })
      for (const [i, segments] of SEGMENTS.entries()) {
        const family = familyFor(segments, i)
        for (const op of size === 4 ? OPS : [OPS[i % 3]!])
          await check(t, world, size, { algorithm: 'rvh', op, dtype, segments, family, seed: size })
      }
      await world.close()
    }
  })
}

const SIZES = Array.from({ length: 48 }, (_, i) => 17 + i)

test.serial('memory, 17 to 64 ranks: levels, which is what is chosen', async (t) => {
  for (const size of sampleOf('17 to 64 ranks', SIZES, 6)) {
    const segments = size % 6 === 0 ? SEGMENTS[(size / 6) % 4]! : [700, 0, size]
    const op = OPS[[0, 1, 0, 2, 0][size % 5]!]!
    const dtype = (['f32', 'f64', 'f16', 'f32', 'bf16'] as const)[Math.floor(size / 5) % 5]!
    const world = await makeWorld(size)
    await check(t, world, size, {
      algorithm: 'auto',
      op,
      dtype,
      segments,
      family: familyFor(segments, size),
      seed: size,
    })
    await world.close()
  }
})

test.serial('a segment that more than 16 ranks share, cut at every level', async (t) => {
  for await (const { algorithm, size, world } of worldsOf({ levels: [20, 48], rvh: [32] })) {
    const most = 2 * size * BLOCK_ELEMENTS
    const layouts = [[most + 9], [100, most, 0, 3000]]
    for (const segments of sampleOf(`${algorithm} of ${size} ranks`, layouts, 1))
      await check(t, world, size, { algorithm, segments, family: 'a large common part' })
  }
})

test.serial('tree nodes that cancel above the first level are measured among all who share them', async (t) => {
  const size = 64
  const world = await makeWorld(size)
  const length = 40 * BLOCK_ELEMENTS
  // The first level's nodes have 16 ranks each: they give +v and -v, which cancel but for some noise.
  const noise = familyOf('independent', (n) => new Float64Array(n), { count: size + 1, length, seed: 3 })
  const inputs = noise.slice(1).map((small, rank) => {
    const sign = Math.floor(rank / 16) % 2 ? -1 : 1
    return small.map((x, i) => sign * noise[0]![i]! + 1e-4 * x)
  })
  const want = adasumSync(inputs, { coefficients: true })
  const data = inputs.map((input) => input.slice())
  const got = await onAll(world.ranks, (comm, rank) =>
    comm.allReduce(data[rank]!, { op: 'adasum', coefficients: true }),
  )
  for (const { result } of got) t.is(bitsOf(result), bitsOf(got[0]!.result))
  t.true(relativeError(got[0]!.result, Float64Array.from(want.result)) < 1e-9)
  await world.close()
})

// ---- identities that hold to the last bit

test.serial('identical inputs of a power of two of ranks give the input, disjoint ones the sum', async (t) => {
  for await (const { algorithm, size, world } of worldsOf({ levels: [32, 64], rvh: [16] })) {
    for (const segments of [[size], [5000, 20 * BLOCK_ELEMENTS]]) {
      const [input] = familyOf('independent', (n) => new Float32Array(n), {
        count: 1,
        length: lengthOf(segments),
        seed: size,
      })
      const options = { op: 'adasum', algorithm, segments } as const
      const same = await onAll(world.ranks, (comm) => comm.allReduce(input!.slice(), options))
      for (const { result, segments: report } of same) {
        t.is(bitsOf(result), bitsOf(input!))
        for (const { orthogonality } of report) t.true(Math.abs(orthogonality! * size - 1) < 1e-12)
      }
      const disjoint = await onAll(world.ranks, (comm, rank) =>
        comm.allReduce(
          input!.map((x, i) => (i % size === rank ? x : 0)),
          options,
        ),
      )
      for (const { result, segments: report } of disjoint) {
        t.is(bitsOf(result), bitsOf(input!.map((x) => x + 0)))
        for (const { orthogonality } of report) t.true(Math.abs(orthogonality! - 1) < 1e-12)
      }
    }
  }
})

test.serial('disjoint inputs give the sum for any number of ranks', async (t) => {
  for (const size of [17, 23, 40, 63]) {
    const world = await makeWorld(size)
    const input = Float32Array.from({ length: 7000 }, (_, i) => Math.sin(i + 1))
    const got = await onAll(world.ranks, (comm, rank) =>
      comm.allReduce(
        input.map((x, i) => (i % size === rank ? x : 0)),
        { op: 'adasum' },
      ),
    )
    for (const { result } of got) t.is(bitsOf(result), bitsOf(input))
    await world.close()
  }
})

// ---- forms of data

test.serial('named arrays, and half formats stored as f32', async (t) => {
  for await (const { algorithm, size, world } of worldsOf({ levels: [18], rvh: [8] })) {
    const inputs = inputsOf(size, {
      algorithm,
      segments: [30_000],
      dtype: 'bf16',
      family: 'a large common part',
    }) as Uint16Array[]
    const layers = (array: Uint16Array) => ({ weight: array.slice(0, 29_000), bias: array.slice(29_000) })
    const out = inputs.map(() => ({ weight: new Float32Array(29_000), bias: new Float32Array(1000) }))
    const want = adasumSync(inputs, { dtype: 'bf16', segments: [29_000, 1000], out: new Float32Array(30_000) })
    const got = await onAll(world.ranks, (comm, rank) =>
      comm.allReduce(layers(inputs[rank]!), { op: 'adasum', dtype: 'bf16', algorithm, out: out[rank]! }),
    )
    for (const [rank, { result, segments }] of got.entries()) {
      t.is(result, out[rank]!)
      t.is(bitsOf(result.weight), bitsOf(got[0]!.result.weight))
      t.deepEqual(
        segments.map(({ name }) => name),
        ['weight', 'bias'],
      )
    }
    const whole = Float32Array.of(...got[0]!.result.weight, ...got[0]!.result.bias)
    t.true(relativeError(whole, Float64Array.from(want.result), [29_000, 1000]) < TOLERANCE.bf16)
  }
})

// ---- arguments

test.serial('rvh takes powers of two, and an algorithm is one of those there are', async (t) => {
  const world = await makeWorld(3)
  const options = { op: 'sum', algorithm: 'rvh' } as const
  const error = (await failuresOf([world.ranks[0]!.allReduce(new Float32Array(1), options)]))[0]!
  t.like(error, { code: 'ERR_WORLD_SIZE' })
  t.regex(error.message, /3 is not a power of two: the next ones are 2 and 4\. Use 'levels'/)
  const unknown = world.ranks[0]!.allReduce(new Float32Array(1), { op: 'sum', algorithm: 'ring' as 'rvh' })
  t.regex(
    (await failuresOf([unknown]))[0]!.message,
    /algorithm is ring; it must be one of auto, direct, single-shot, levels, rvh/,
  )
  await onAll(world.ranks, (comm) => comm.barrier())
  await world.close()
})

test.serial('ranks that name different algorithms are told so', async (t) => {
  const world = await makeWorld(4)
  const errors = await failuresOf(
    world.ranks.map((comm, rank) =>
      comm.allReduce(new Float32Array(100), { op: 'sum', algorithm: rank === 2 ? 'rvh' : 'levels' }),
    ),
  )
  for (const error of errors)
    t.regex(error.message, /differs.*, schedule (levels; .*, schedule rvh|rvh; .*, schedule levels)\. Call/)
  await world.close()
})

// ---- a large world

// Not connected all to all: that would be a million pipes.
for (const [kind, size, levelCount] of [
  ['levels', 300, 3] as const,
  HAS_ALL_CASES ? (['rvh', 1024, 10] as const) : (['rvh', 64, 6] as const),
]) {
  test.serial(`${size} ranks in one process: ${kind}`, async (t) => {
    const segments = [100, 2000, 2 * BLOCK_ELEMENTS]
    const layout = layoutOfArray(F32, lengthOf(segments), segments)
    t.is(new LevelPlanner(kind, size, 0).plan(layout).length, levelCount)
    const limits = { stallMs: 600_000, timeoutMs: 600_000 }
    const world = await makeWorld(size, limits)
    const [common] = familyOf('independent', (n) => new Float32Array(n), {
      count: 1,
      length: layout.elementCount,
      seed: 1,
    })
    const inputs = world.ranks.map((_, rank) => common!.map((x, i) => x + ((i * rank) % 7) - 3))
    const want = adasumSync(inputs, { segments })
    const options = { op: 'adasum', algorithm: kind, segments } as const
    const got = await onAll(world.ranks, (comm, rank) => comm.allReduce(inputs[rank]!, options))
    const bits = bitsOf(got[0]!.result)
    t.true(got.every(({ result }) => bitsOf(result) === bits))
    t.true(relativeError(got[0]!.result, Float64Array.from(want.result), segments) < 1e-5)
    await world.close()
  })
}
