/** Error feedback of compressed all-reduce: nothing is lost in the long run, and what is left over is kept, or not, with its call. */
import anyTest from 'ava'
import { Compressor } from '../../ts/src/compressor.ts'
import { type World, bitsOf, failuresOf, makeWorld, onAll, vectorOf } from '../_world.ts'
import { type Case, Definition, compressorOf } from './_compression.ts'

const test = anyTest.serial

test('with error feedback the sum over the steps is off by no more than quanta', async (t) => {
  const world = await makeWorld(3)
  // All but the first are smaller than half a quantum, which is 1 / 127: alone they are never sent.
  const gradient = Float32Array.from({ length: 3000 }, (_, i) => (i % 256 === 0 ? 1 : 0.003))
  const totals: Record<string, Float64Array> = {}
  for (const [algorithm, errorFeedback] of [
    ['direct', true],
    ['single-shot', true],
    ['direct', false],
  ] as const) {
    const compressors = world.ranks.map(() => new Compressor({ format: 'int8', errorFeedback }))
    const total = new Float64Array(gradient.length)
    for (let step = 0; step < 100; step++) {
      const [first] = await onAll(world.ranks, (comm, rank) =>
        comm.allReduce(gradient.slice(), { op: 'sum', algorithm, compressor: compressors[rank]! }),
      )
      first!.result.forEach((x, i) => (total[i]! += x))
    }
    totals[`${algorithm} ${errorFeedback}`] = total
  }
  const quantum = 1 / 127
  const worst = (total: Float64Array): number => Math.max(...total.map((x, i) => Math.abs(x - 300 * gradient[i]!)))
  t.true(worst(totals['direct true']!) <= 3 * quantum * 1.01)
  t.true(worst(totals['single-shot true']!) <= 6 * quantum * 1.01)
  t.is(totals['direct false']![1], 0)
  await world.close()
})

test('a call that is refused leaves what is left over as it was', async (t) => {
  const one: Case = {
    ...{ op: 'sum', algorithm: 'single-shot', format: 'int8', block: 64, errorFeedback: true, segments: [5000] },
    ...{ withOut: 0, bucketBytes: undefined, steps: 1, seed: 1, bad: 0 },
  }
  const world = await makeWorld(3)
  const compressors = world.ranks.map(() => compressorOf(one))
  const definition = new Definition(one, 3)
  for (const step of [0, 1, 2, 3]) {
    const inputs = world.ranks.map((_, rank) => vectorOf(new Float32Array(5000), rank + 10 * step))
    if (step === 2) inputs[1]![7] = NaN
    const calls = world.ranks.map((comm, rank) =>
      comm.allReduce(inputs[rank]!.slice(), {
        ...{ op: 'sum', algorithm: 'single-shot', onNonFinite: 'throw', compressor: compressors[rank]! },
      }),
    )
    if (step === 2) for (const error of await failuresOf(calls)) t.like(error, { code: 'ERR_NON_FINITE' })
    else {
      const want = bitsOf(definition.step(inputs, []))
      for (const { result } of await Promise.all(calls)) t.is(bitsOf(result), want)
    }
  }
  await world.close()
})

test('a world that breaks leaves it as it was, and another world goes on from there', async (t) => {
  const one: Case = {
    ...{ op: 'average', algorithm: 'single-shot', format: 'bf16', block: 64, errorFeedback: true, segments: [90_000] },
    ...{ withOut: 0, bucketBytes: undefined, steps: 1, seed: 1, bad: 0 },
  }
  const compressors = [0, 1, 2].map(() => compressorOf(one))
  const definition = new Definition(one, 3)
  const inputsOf = (step: number) => [0, 1, 2].map((rank) => vectorOf(new Float32Array(90_000), rank + 10 * step))
  const call = (world: World, rank: number, input: Float32Array) =>
    world.ranks[rank]!.allReduce(input.slice(), {
      ...{ op: 'average', algorithm: 'single-shot', compressor: compressors[rank]! },
    })
  for (const step of [0, 1, 2]) {
    const world = await makeWorld(3)
    const inputs = inputsOf(step)
    if (step === 1) {
      // Rank 2 has begun, and dies: nobody has a result.
      const calls = [0, 1].map((rank) => call(world, rank, inputs[rank]!))
      world.kill(2)
      for (const error of await failuresOf(calls)) t.like(error, { code: 'ERR_PEER_LOST' })
    } else {
      const want = bitsOf(definition.step(inputs, []))
      const got = await Promise.all(inputs.map((input, rank) => call(world, rank, input)))
      for (const { result } of got) t.is(bitsOf(result), want)
    }
    await world.close()
  }
})

test('reset forgets what is left over', async (t) => {
  const world = await makeWorld(2)
  const compressors = world.ranks.map(() => new Compressor({ format: 'int8', blockElementCount: 16 }))
  const run = async (): Promise<string> => {
    const got = await onAll(world.ranks, (comm, rank) =>
      comm.allReduce(vectorOf(new Float32Array(1000), rank), { op: 'sum', compressor: compressors[rank]! }),
    )
    return bitsOf(got[0]!.result)
  }
  const first = await run()
  t.not(await run(), first)
  for (const compressor of compressors) compressor.reset()
  t.is(await run(), first)
  await world.close()
})

test('segments keep theirs by name and length, whatever call they are in', async (t) => {
  const world = await makeWorld(2)
  const [together, apart] = [0, 1].map(() => world.ranks.map(() => new Compressor({ format: 'int8' }))) as [
    Compressor[],
    Compressor[],
  ]
  for (let step = 0; step < 3; step++) {
    const layers = (rank: number) => ({
      kernel: vectorOf(new Float32Array(3000), rank + 10 * step),
      bias: vectorOf(new Float32Array(70), rank + 100 * step),
    })
    const one = await onAll(world.ranks, (comm, rank) =>
      comm.allReduce(layers(rank), { op: 'sum', compressor: together[rank]! }),
    )
    // Both at once: no segment is in both.
    const two = await onAll(world.ranks, (comm, rank) => {
      const { kernel, bias } = layers(rank)
      const options = { op: 'sum', compressor: apart[rank]! } as const
      return Promise.all([comm.allReduce({ bias }, options), comm.allReduce({ kernel }, options)])
    })
    t.is(bitsOf(two[0]![0].result.bias), bitsOf(one[0]!.result.bias))
    t.is(bitsOf(two[0]![1].result.kernel), bitsOf(one[0]!.result.kernel))
  }
  await world.close()
})

test('two calls at once cannot have one segment', async (t) => {
  const world = await makeWorld(2)
  await onAll(world.ranks, async (comm) => {
    const compressor = new Compressor({ format: 'bf16' })
    const options = { op: 'sum', compressor } as const
    const first = comm.allReduce(new Float32Array(100).fill(1), options)
    await t.throwsAsync(comm.allReduce(new Float32Array(100).fill(1), options), {
      code: 'ERR_NOT_READY',
      message: /another call has segment 0\[100\]\. Await that call first/,
    })
    t.throws(() => compressor.reset(), { code: 'ERR_NOT_READY' })
    t.is((await first).result[0], 2)
    t.is((await comm.allReduce(new Float32Array(100).fill(1), options)).result[0], 2)
  })
  await world.close()
})

test('gradient descent comes as near with int8 as with f32', async (t) => {
  const world = await makeWorld(4)
  const dimension = 300
  // Each rank has a quadratic of its own; together they have one minimum.
  const centres = world.ranks.map((_, rank) => vectorOf(new Float32Array(dimension), rank))
  const best = Float64Array.from({ length: dimension }, (_, i) => centres.reduce((sum, c) => sum + c[i]! / 4, 0))
  const train = async (errorFeedback: boolean | undefined): Promise<number> => {
    const compressors = world.ranks.map(() =>
      errorFeedback === undefined
        ? undefined
        : new Compressor({ format: 'int8', blockElementCount: 2048, errorFeedback }),
    )
    const weights = world.ranks.map(() => new Float32Array(dimension))
    for (let step = 0; step < 300; step++)
      await onAll(world.ranks, async (comm, rank) => {
        const mine = weights[rank]!
        // Steeper along the first: its gradient sets the scale of all.
        const gradient = mine.map(
          (w, i) => (w - centres[rank]![i]!) * (i === 0 ? 1 : 0.01) + (i === 0 ? Math.sin(step) : 0),
        )
        const compressor = compressors[rank]
        const { result } = await comm.allReduce(gradient, { op: 'average', ...(compressor && { compressor }) })
        result.forEach((g, i) => (mine[i]! -= (i === 0 ? 0.1 : 10) * g))
      })
    return Math.sqrt(best.slice(1).reduce((sum, x, i) => sum + (weights[0]![i + 1]! - x) ** 2, 0))
  }
  const [exact, fed, lost] = [await train(undefined), await train(true), await train(false)]
  t.true(exact < 1e-4, `f32: ${exact}`)
  t.true(fed < 0.5 * lost, `with error feedback ${fed}, without ${lost}`)
  await world.close()
})
