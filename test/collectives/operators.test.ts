/** Operators with parameters in collectives: what ranks must agree on, and large worlds. */
import test from 'ava'
import { reduceSync } from '../../ts/src/reduction/local.ts'
import type { CoefficientFunction, Operator } from '../../ts/src/types.ts'
import { bitsOf, failuresOf, makeWorld, onAll, vectorOf } from '../_world.ts'
import { relativeError } from '../reduction/_oracle.ts'

const inputsOf = (size: number, length: number): Float32Array[] =>
  Array.from({ length: size }, (_, rank) => vectorOf(new Float32Array(length), rank))

async function mismatch(ops: readonly (Operator | 'adasum')[]): Promise<string> {
  const world = await makeWorld(ops.length)
  const errors = await failuresOf(
    world.ranks.map((comm, rank) => comm.allReduce(new Float32Array(9), { op: ops[rank]! })),
  )
  const [first] = errors as (Error & { code: string })[]
  if (first!.code !== 'ERR_MISMATCH') throw first!
  await world.close()
  return first!.message
}

test('ranks whose operators or parameters differ fail, and see both', async (t) => {
  t.regex(
    await mismatch([{ name: 'adasum', kappa: 0.5 }, 'adasum']),
    /damped \(kappa 0\.5\) f32\[9\].*: adasum f32\[9\]/,
  )
  const caps = [{ name: 'adascale' } as const, { name: 'adascale', cap: 2 } as const]
  t.regex(await mismatch(caps), /adascale \(cap 1\).*adascale \(cap 2\)/)
  const near = [0.5, 0.500001].map((kappa) => ({ name: 'adasum', kappa }) as const)
  t.regex(await mismatch(near), /damped \(kappa 0\.5\) f32\[9\], .*parameter of hash/)
})

for (const op of [{ name: 'adasum', kappa: 0.4 }, { name: 'adascale' }] as const) {
  test(`${op.name}: worlds of more than 16 ranks, and halving, differ from the local function by rounding only`, async (t) => {
    for (const [size, algorithm] of [
      [17, 'auto'],
      [33, 'levels'],
      [8, 'rvh'],
    ] as const) {
      const world = await makeWorld(size)
      const inputs = inputsOf(size, 7000)
      const want = reduceSync(inputs, { op, segments: [3000, 4000] })
      const segments = [3000, 4000]
      const found = await onAll(world.ranks, (comm, rank) =>
        comm.allReduce(inputs[rank]!.slice(), { op, algorithm, segments }),
      )
      t.is(new Set(found.map(({ result }) => bitsOf(result))).size, 1, `${size}: all ranks have the same bits`)
      const error = relativeError(found[0]!.result, Float64Array.from(want.result), segments)
      t.true(error < 2e-6, `${size} ranks: ${error}`)
      const off = found[0]!.segments.map((s, i) => Math.abs(s.orthogonality! - want.segments[i]!.orthogonality!))
      t.true(Math.max(...off) < 1e-5, `${size} ranks: orthogonality off by ${Math.max(...off)}`)
      await world.close()
    }
  })

  test(`${op.name}: reduce-scatter gives the parts of the local function's result`, async (t) => {
    const world = await makeWorld(3)
    const inputs = inputsOf(3, 6000)
    const { result } = reduceSync(inputs, { op, segments: [5000, 1000] })
    const parts = await onAll(world.ranks, (comm, rank) =>
      comm.reduceScatter(inputs[rank]!, { op, segments: [5000, 1000] }),
    )
    parts.forEach((part, rank) => t.is(bitsOf(part.result), bitsOf(result.slice(rank * 2000, (rank + 1) * 2000))))
    await world.close()
  })
}

const MATRIX_OPERATORS: Operator[] = [
  { name: 'adacons' },
  { name: 'gaf', tau: 1 },
  { name: 'custom', coefficients: (gram) => gram.map(() => 0.5) },
]

test('operators of the whole matrix take 16 ranks, in one stage', async (t) => {
  const world = await makeWorld(17, { isConnected: false })
  for (const op of MATRIX_OPERATORS) {
    const expected = { code: 'ERR_UNSUPPORTED', message: /takes at most 16 ranks at once; there are 17/ }
    await t.throwsAsync(world.ranks[0]!.allReduce(new Float32Array(4), { op }), expected)
    await t.throwsAsync(world.ranks[0]!.reduceScatter(new Float32Array(17), { op }), expected)
  }
  await world.close()
  const four = await makeWorld(4)
  for (const op of MATRIX_OPERATORS) {
    const halving = { op, algorithm: 'rvh' } as const
    const expected = { code: 'ERR_UNSUPPORTED', message: /algorithm 'rvh' takes two at a time/ }
    await t.throwsAsync(four.ranks[0]!.allReduce(new Float32Array(4), halving), expected)
  }
  await four.close()
})

test('buckets change neither bits nor the names that a function gets', async (t) => {
  const world = await makeWorld(3)
  const names = new Set<string>()
  const coefficients: CoefficientFunction = (gram, { name }) => {
    names.add(name)
    return gram.map((_, i) => i + Number(name))
  }
  const op = { name: 'custom', coefficients } as const
  const inputs = inputsOf(3, 40_000)
  const options = { op, segments: [10_000, 10_000, 20_000] }
  const want = bitsOf(reduceSync(inputs, options).result)
  names.clear()
  const found = await onAll(world.ranks, (comm, rank) =>
    comm.allReduce(inputs[rank]!.slice(), { ...options, algorithm: 'single-shot', bucketBytes: 40_000 }),
  )
  for (const { result } of found) t.is(bitsOf(result), want)
  t.deepEqual([...names].toSorted(), ['0', '1', '2'])
  await world.close()
})

for (const algorithm of ['direct', 'single-shot'] as const) {
  test(`${algorithm}: a function that differs between ranks fails the call on all of them, with the segment`, async (t) => {
    const world = await makeWorld(3)
    const errors = await failuresOf(
      world.ranks.map((comm, rank) => {
        const coefficients: CoefficientFunction = (gram, { name }) =>
          gram.map(() => (name === 'b' && rank === 2 ? 2 : 1))
        const data = { a: new Float32Array(10).fill(rank), b: new Float32Array(30_000).fill(1) }
        return comm.allReduce(data, { op: { name: 'custom', coefficients }, algorithm })
      }),
    )
    for (const error of errors as (Error & { code: string })[]) {
      t.is(error.code, 'ERR_MISMATCH')
      t.regex(error.message, /op\.coefficients of segment b differ between rank [01] and rank 2/)
    }
    await world.close()
  })

  test(`${algorithm}: a function that throws on one rank, or gives no coefficients, fails all, with the segment`, async (t) => {
    const wrong: CoefficientFunction[] = [
      () => { throw new Error('no') }, // prettier-ignore
      () => [1],
      () => [1, NaN, 1],
    ]
    for (const bad of wrong) {
      const world = await makeWorld(3)
      const errors = await failuresOf(
        world.ranks.map((comm, rank) => {
          const coefficients: CoefficientFunction = (gram, segment) =>
            rank === 1 ? bad(gram, segment) : gram.map(() => 1)
          const data = { a: new Float32Array(10).fill(rank), b: new Float32Array(30_000).fill(1) }
          return comm.allReduce(data, { op: { name: 'custom', coefficients }, algorithm })
        }),
      )
      for (const error of errors as (Error & { code: string })[]) {
        t.is(error.code, 'ERR_ABORTED')
        t.regex(error.message, /op\.coefficients of segment [ab]/)
      }
      await world.close()
    }
  })
}

test('what cannot go with an operator is refused before anything is sent', async (t) => {
  const world = await makeWorld(2)
  const op = { name: 'adascale' } as const
  const [comm] = world.ranks
  await t.throwsAsync(comm!.allReduce(new Float32Array(4), { op, hierarchy: 'sum' }), {
    code: 'ERR_ARGUMENT',
    message: /op is adascale/,
  })
  const integers = new Int32Array(4) as unknown as Float32Array
  await t.throwsAsync(comm!.allReduce(integers, { op }), {
    code: 'ERR_ARGUMENT',
    message: /op is adascale, and the data is i32/,
  })
  await t.throwsAsync(comm!.allReduce(new Float32Array(4), { op: { ...op, cap: 0 } }), { code: 'ERR_ARGUMENT' })
  await world.close()
})
