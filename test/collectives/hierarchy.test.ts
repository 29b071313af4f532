/** Hierarchical Adasum: against its definition, over any placement of ranks on machines. */
import anyTest from 'ava'
import { MachineTree, planMachines } from '../../ts/src/collectives/schedule/machines.ts'
import { LevelPlanner } from '../../ts/src/collectives/schedule/level-plan.ts'
import { Compressor } from '../../ts/src/compressor.ts'
import { adasumSync, averageSync, sumSync } from '../../ts/src/reduction/local.ts'
import { layoutOfArray } from '../../ts/src/tensor/layout.ts'
import { createMemoryTransport } from '../transport/_memory.ts'
import { tcp } from '../../ts/src/transport/tcp.ts'
import type { FloatArray, OnNonFinite, ReduceOp, Reduction } from '../../ts/src/types.ts'
import { fc, runsOf } from '../_property.ts'
import { type World, bitsOf, failuresOf, makeWorld, onAll, vectorOf } from '../_world.ts'
import { F32 } from '../kernels/_layouts.ts'
import { FAMILIES, adasumOfNodes, familyOf, oracle, relativeError } from '../reduction/_oracle.ts'

const test = anyTest.serial

const LOCAL = { sum: sumSync, average: averageSync, adasum: adasumSync }
const OPS: readonly ReduceOp[] = ['sum', 'average', 'adasum']
/** Those in which rounding is not magnified by what cancels. */
const TAME = Object.keys(FAMILIES).filter((family) => !family.startsWith('alternating'))
const sumOf = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0)
const norm2 = (vector: ArrayLike<number>): number => Array.from(vector).reduce((sum, x) => sum + x * x, 0)

interface Case {
  /** Each rank's machine. */
  machines: number[]
  innerOp: ReduceOp
  dtype: 'f32' | 'f64'
  family: string
  segments: number[]
  onNonFinite: OnNonFinite
  /** Bits of the ranks whose input has a NaN in it. */
  bad: number
  /** Bits of those with an `out`. */
  withOut: number
  bucketBytes: number | undefined
  seed: number
}

const anyCase = (machines: fc.Arbitrary<number[]>): fc.Arbitrary<Case> =>
  fc.record({
    machines,
    innerOp: fc.constantFrom(...OPS),
    dtype: fc.constantFrom('f32', 'f64'),
    family: fc.constantFrom(...TAME),
    segments: fc
      .array(fc.oneof(fc.constantFrom(0, 2047, 2048, 2049), fc.integer({ min: 30, max: 9000 })), {
        minLength: 1,
        maxLength: 4,
      })
      .map((counts) => (counts.some((count) => count > 0) ? counts : [...counts, 100])),
    onNonFinite: fc.constantFrom<OnNonFinite>('throw', 'skip', 'propagate'),
    bad: fc.oneof(fc.constant(0), fc.constant(0), fc.nat(0xfff), fc.constant(0xfff)),
    withOut: fc.nat(0xfff),
    bucketBytes: fc.constantFrom(undefined, undefined, 8000),
    seed: fc.nat(1e6),
  })

const hasBit = (bits: number, rank: number): boolean => ((bits >> rank) & 1) === 1

/** The machines' vectors of one segment, by the definition in f64, and as how many ranks each counts. */
function machinesOf({ machines, innerOp }: Case, parts: readonly Float64Array[], absent: readonly number[]) {
  return [...new Set(machines)].map((machine) => {
    const ranks = [...machines.keys()].filter((rank) => machines[rank] === machine)
    const present = ranks.filter((rank) => !absent.includes(rank))
    // Who is left out keeps its place in the tree.
    const leaves = ranks.map((rank) => ({ vector: parts[rank]!, count: absent.includes(rank) ? 0 : 1 }))
    if (innerOp === 'adasum' || present.length === 0) return adasumOfNodes(leaves)
    const inputs = present.map((rank) => parts[rank]!)
    return { vector: oracle(innerOp, inputs), count: present.length }
  })
}

/** The result, and the orthogonality of each segment. */
function define(one: Case, inputs: readonly FloatArray[], absent: readonly number[]) {
  const result = new Float64Array(inputs[0]!.length)
  const orthogonality: number[] = []
  let begin = 0
  for (const count of one.segments) {
    const parts = inputs.map((input) => Float64Array.from(input.subarray(begin, begin + count)))
    const nodes = machinesOf(one, parts, absent)
    const { vector } = adasumOfNodes(nodes)
    result.set(vector, begin)
    const whole = sumOf(nodes.map(({ vector, count }) => (count === 0 ? 0 : norm2(vector))))
    orthogonality.push(whole > 0 ? norm2(vector) / whole : 1)
    begin += count
  }
  return { result, orthogonality }
}

function inputsOf({ machines, family, dtype, segments, seed }: Case): FloatArray[] {
  const make = (n: number): FloatArray => (dtype === 'f32' ? new Float32Array(n) : new Float64Array(n))
  return familyOf<FloatArray>(family, make, { count: machines.length, length: sumOf(segments), seed })
}

async function check(world: World, one: Case): Promise<void> {
  const { machines, innerOp, dtype, segments, onNonFinite, withOut, bucketBytes } = one
  const size = machines.length
  const inputs = inputsOf(one)
  // With `propagate` nobody looks: the NaNs would be all that there is to compare.
  const absent = onNonFinite === 'propagate' ? [] : [...inputs.keys()].filter((rank) => hasBit(one.bad, rank))
  for (const rank of absent) inputs[rank]![one.seed % inputs[rank]!.length] = NaN
  const data = inputs.map((input) => input.slice())
  const out = inputs.map((input, rank) => (hasBit(withOut, rank) ? input.slice().fill(5) : undefined))
  const calls = world.ranks.map((comm, rank) =>
    comm.allReduce(data[rank]!, {
      ...{ op: 'adasum', hierarchy: innerOp, segments, onNonFinite, coefficients: true },
      ...(bucketBytes !== undefined && { bucketBytes }),
      ...(out[rank] && { out: out[rank] }),
    }),
  )
  if (onNonFinite === 'throw' && absent.length > 0) {
    for (const [rank, error] of (await failuresOf(calls)).entries()) {
      equal((error as { code?: string }).code, 'ERR_NON_FINITE', `rank ${rank}`)
      equal(error.message.includes(`(rank ${absent.join(', ')})`), true, `rank ${rank} names ${absent.join()}`)
      equal(bitsOf(data[rank]!), bitsOf(inputs[rank]!), `the data of rank ${rank}`)
    }
    return
  }
  const got = await Promise.all(calls)
  for (const [rank, { result, nonFiniteRanks, segments: report }] of got.entries()) {
    equal(result === (out[rank] ?? data[rank]), true, `rank ${rank}: the place`)
    const isNobodyLeft = absent.length === size
    equal(bitsOf(result), bitsOf(isNobodyLeft ? inputs[0]!.slice().fill(0) : got[0]!.result), `rank ${rank}: the bits`)
    equal(nonFiniteRanks.join(), absent.join(), `rank ${rank}: who was left out`)
    equal(JSON.stringify(report), JSON.stringify(got[0]!.segments), `rank ${rank}: the report`)
    if (out[rank]) equal(bitsOf(data[rank]!), bitsOf(inputs[rank]!), `rank ${rank}: the data beside out`)
  }
  if (absent.length < size) compare(one, inputs, absent, got[0]!, dtype === 'f32' ? 1e-5 : 1e-10)
}

function compare(
  one: Case,
  inputs: FloatArray[],
  absent: number[],
  got: Reduction<FloatArray>,
  tolerance: number,
): void {
  const want = define(one, inputs, absent)
  const error = relativeError(got.result, want.result, one.segments)
  equal(error < tolerance, true, `the result is off by ${error}`)
  let begin = 0
  got.segments.forEach(({ elementCount, orthogonality, coefficients }, segment) => {
    const wanted = want.orthogonality[segment]!
    equal(
      Math.abs(orthogonality! - wanted) < 10 * tolerance * (1 + wanted),
      true,
      `orthogonality ${orthogonality}, ${wanted}`,
    )
    const part = new Float64Array(elementCount)
    for (const [rank, c] of coefficients!.entries())
      if (absent.includes(rank)) equal(c, 0, `the coefficient of rank ${rank}`)
      else inputs[rank]!.subarray(begin, begin + elementCount).forEach((x, i) => (part[i]! += c * x))
    const off = relativeError(part, want.result.slice(begin, begin + elementCount))
    equal(off < 10 * tolerance, true, `the coefficients are off by ${off}`)
    begin += elementCount
  })
}

function equal<T>(actual: T, expected: T, what: string): void {
  if (actual !== expected) throw new Error(`${what}: ${String(actual)}, expected ${String(expected)}`)
}

const anyMachines = fc
  .integer({ min: 1, max: 12 })
  .chain((size) => fc.array(fc.nat(4), { minLength: size, maxLength: size }))

test('memory: any placement gives what the definition says, on every rank', async (t) => {
  await fc.assert(
    fc.asyncProperty(anyCase(anyMachines), fc.nat(1e6), async (one, seed) => {
      const transport = createMemoryTransport({ seed, maxChunkByteLength: 20_000 })
      const { machines } = one
      const world = await makeWorld(machines.length, { transport, machineOf: (rank) => machines[rank]! })
      await check(world, one)
      await world.close()
    }),
    { numRuns: runsOf(40) },
  )
  t.pass()
})

test('sockets: the same', async (t) => {
  await fc.assert(
    fc.asyncProperty(anyCase(anyMachines.filter(({ length }) => length <= 6)), async (one) => {
      const { machines } = one
      const world = await makeWorld(machines.length, { transport: tcp, machineOf: (rank) => machines[rank]! })
      await check(world, one)
      await world.close()
    }),
    { numRuns: runsOf(10) },
  )
  t.pass()
})

for (const [what, machines] of Object.entries({
  'a machine of 20 ranks and one of 1': [...Array<number>(20).fill(0), 1],
  '18 machines of one or two ranks': Array.from({ length: 27 }, (_, rank) => rank % 18),
  'one machine of 18 ranks': Array<number>(18).fill(0),
}))
  test(what, async (t) => {
    const world = await makeWorld(machines.length, { machineOf: (rank) => machines[rank]! })
    for (const [i, innerOp] of OPS.entries())
      for (const segments of [[40_000], [700, 0, 9000]])
        for (const bad of [0, 0b101])
          await check(world, {
            ...{ machines, innerOp, dtype: 'f32', family: TAME[i]!, segments, onNonFinite: 'skip', bad },
            ...{ withOut: 0b1010, bucketBytes: undefined, seed: i },
          })
    await world.close()
    t.pass()
  })

test('one machine alone: the operator within; one rank a machine: adasum, to the bit', async (t) => {
  for (const isAlone of [true, false]) {
    const world = await makeWorld(5, { machineOf: (rank) => (isAlone ? 0 : rank) })
    for (const hierarchy of OPS) {
      const inputs = world.ranks.map((_, rank) => vectorOf(new Float32Array(10_000), rank))
      const want = isAlone ? LOCAL[hierarchy](inputs) : adasumSync(inputs)
      const got = await onAll(world.ranks, (comm, rank) =>
        comm.allReduce(inputs[rank]!.slice(), { op: 'adasum', hierarchy, algorithm: 'levels' }),
      )
      for (const { result, segments } of got) {
        t.is(bitsOf(result), bitsOf(want.result))
        t.is(segments[0]!.orthogonality, isAlone ? 1 : want.segments[0]!.orthogonality)
      }
    }
    await world.close()
  }
})

test('without the option adasum is the same on any machines', async (t) => {
  const inputs = [0, 1, 2, 3].map((rank) => vectorOf(new Float32Array(10_000), rank))
  const want = bitsOf(adasumSync(inputs).result)
  for (const machineOf of [() => 0, (rank: number) => rank % 2]) {
    const world = await makeWorld(4, { machineOf })
    const got = await onAll(world.ranks, (comm, rank) => comm.allReduce(inputs[rank]!.slice(), { op: 'adasum' }))
    for (const { result } of got) t.is(bitsOf(result), want)
    await world.close()
  }
})

test('sub-groups have the machines of their ranks', async (t) => {
  const world = await makeWorld(6, { machineOf: (rank) => rank % 3 })
  const inputs = world.ranks.map((_, rank) => vectorOf(new Float32Array(5000), rank))
  await onAll(world.ranks, async (comm, rank) => {
    // 0, 2, 3 and 5, on machines 0, 2, 0 and 2.
    const group = await comm.split(rank % 3 === 1 ? undefined : 0)
    if (!group) return
    const { result } = await group.allReduce(inputs[rank]!.slice(), { op: 'adasum', hierarchy: 'sum' })
    const machines = [0, 2].map((first) => sumSync([inputs[first]!, inputs[first + 3]!]).result)
    t.is(bitsOf(result), bitsOf(adasumSync(machines).result))
  })
  await world.close()
})

test('machines of equal size: only ranks in the same place talk across machines', (t) => {
  const machines = [0, 1, 2, 0, 1, 2, 0, 1, 2]
  const { order, tree } = planMachines(machines)
  t.deepEqual([...order], [0, 3, 6, 1, 4, 7, 2, 5, 8])
  t.is(tree.innerLevelCount, 1)
  const layout = layoutOfArray(F32, 9 * 2048)
  for (let position = 0; position < 9; position++) {
    const [inner, outer] = new LevelPlanner(tree, 9, position).plan(layout)
    const rankOf = (at: number): number => order[at]!
    for (const { rank } of inner!.sends) t.is(machines[rankOf(rank)], machines[rankOf(position)])
    t.deepEqual(
      outer!.sends.map(({ rank }) => rank % 3),
      outer!.sends.map(() => position % 3),
    )
    t.is(sumOf(outer!.sends.map(({ begin, end }) => end - begin)), 3 * 2048)
  }
})

test('a tree of machines shares every node out among its ranks', (t) => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 40 }), (counts) => {
      const tree = new MachineTree(counts)
      const size = sumOf(counts)
      if (size === 1) return tree.levelCount === 0
      let node = { first: 0, count: size }
      for (let level = tree.levelCount - 1; level >= 0; level--) {
        const inputs = tree.inputsOf(level, node)
        if (sumOf(inputs.map(({ count }) => count)) !== node.count || inputs[0]!.first !== node.first) return false
        if (inputs.length > 16) return false
        if ([...tree.owners(level, node)].sort((a, b) => a - b).some((owner, i) => owner !== i)) return false
        node = inputs.at(-1)!
      }
      return node.count === 1
    }),
  )
  t.pass()
})

test('what crosses machines is quantised, and all ranks have the same bits', async (t) => {
  const world = await makeWorld(5, { machineOf: (rank) => (rank < 3 ? 0 : 1) })
  const inputs = world.ranks.map((_, rank) => vectorOf(new Float32Array(30_000), rank))
  const machines = [inputs.slice(0, 3), inputs.slice(3)].map((part) => Float64Array.from(averageSync(part).result))
  const want = adasumOfNodes(machines.map((vector, i) => ({ vector, count: 3 - i })))
  const compressors = world.ranks.map(() => new Compressor({ format: 'int8' }))
  for (let step = 0; step < 3; step++) {
    const got = await onAll(world.ranks, (comm, rank) =>
      comm.allReduce(inputs[rank]!.slice(), { op: 'adasum', hierarchy: 'average', compressor: compressors[rank]! }),
    )
    for (const { result } of got) t.is(bitsOf(result), bitsOf(got[0]!.result))
    const error = relativeError(got[0]!.result, want.vector)
    t.true(error > 1e-4 && error < 0.03, `off by ${error}`)
  }
  await world.close()
})

test('arguments, and ranks that disagree', async (t) => {
  const world = await makeWorld(2, { machineOf: (rank) => rank })
  const refused = (options: object, message: RegExp) =>
    t.throwsAsync(world.ranks[0]!.allReduce(new Float32Array(4), { op: 'adasum', ...options }), {
      code: 'ERR_ARGUMENT',
      message,
    })
  await refused({ hierarchy: 'max' }, /hierarchy is max; it must be one of sum, average, adasum/)
  await refused({ hierarchy: true }, /hierarchy is true/)
  await refused({ op: 'sum', hierarchy: 'sum' }, /op is sum: across machines it is always adasum/)
  await refused(
    { hierarchy: 'sum', algorithm: 'rvh' },
    /algorithm is rvh, but with hierarchy the levels are those of the machines/,
  )
  const errors = await failuresOf(
    world.ranks.map((comm, rank) =>
      comm.allReduce(new Float32Array(4), { op: 'adasum', hierarchy: rank === 0 ? 'sum' : 'average' }),
    ),
  )
  for (const error of errors) {
    t.like(error, { code: 'ERR_MISMATCH' })
    t.regex(error.message, /rank 0.*adasum of machines \(sum within\).*adasum of machines \(average within\)/i)
  }
  await world.close()
})

test('ranks that see other machines are told so', async (t) => {
  // A store tells all ranks the same; this is what would come of a mistake there.
  const world = await makeWorld(4, { machineOf: (rank, seenBy) => (seenBy === 3 ? rank % 2 : rank >> 1) })
  const errors = await failuresOf(
    world.ranks.map((comm) => comm.allReduce(new Float32Array(4), { op: 'adasum', hierarchy: 'sum' })),
  )
  for (const error of errors) {
    t.like(error, { code: 'ERR_MISMATCH' })
    t.regex(error.message, /segments, names, machines or buckets of hash/)
  }
  await world.close()
})
