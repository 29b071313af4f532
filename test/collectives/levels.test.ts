/** Schedules by levels as pure functions: who owns what, and whether everything arrives exactly once. */
import test, { type ExecutionContext } from 'ava'
import { BLOCK_ELEMENTS } from '../../ts/src/binding/binding.ts'
import { roomElementCount } from '../../ts/src/collectives/levels/context.ts'
import { type Level, LevelPlanner, type Transfer } from '../../ts/src/collectives/schedule/level-plan.ts'
import { type LevelKind, cutDepths, subtreesBelow } from '../../ts/src/collectives/schedule/tree.ts'
import { type Layout, layoutOfArray } from '../../ts/src/tensor/layout.ts'
import { fc, runsOf } from '../_property.ts'
import { F32, anyLayout } from '../kernels/_layouts.ts'

const SIZES = [...Array(200).keys()].map((i) => i + 1).concat(509, 997, 1021, 1024)
const isPowerOfTwo = (size: number): boolean => Number.isInteger(Math.log2(size))
const kindsFor = (size: number): LevelKind[] => [
  'levels',
  ...(isPowerOfTwo(size) ? (['rvh'] as const) : []),
  ...(size <= 20 ? (['single-shot'] as const) : []),
]

function planWorld(kind: LevelKind, size: number, layout: Layout): (readonly Level[])[] {
  return Array.from({ length: size }, (_, rank) => new LevelPlanner(kind, size, rank).plan(layout))
}

/** What has to hold at one level of all ranks; `held` is what each rank held before. Returns the first thing that does not. */
function problemOf(plans: (readonly Level[])[], level: number, held: [number, number][]): string | undefined {
  const sent = new Set<string>()
  const came = new Set<string>()
  const say = (from: number, to: number, { input, begin, end }: Transfer): string =>
    `${from} -> ${to}: input ${input}, ${begin} to ${end}`
  for (const [rank, plan] of plans.entries()) {
    const { begin, end, node, inputs, ownInput, sends, receives } = plan[level]!
    for (const transfer of sends) sent.add(say(rank, transfer.rank, transfer))
    if (sends.some((transfer) => transfer.begin < transfer.end && !isWithin(transfer, held[rank]!)))
      return `rank ${rank} sends what it does not hold`
    const own = inputs[ownInput]!
    if (rank < own.first || rank >= own.first + own.count) return `rank ${rank} is not in its input`
    if (inputs.reduce((sum, { count }) => sum + count, 0) !== node.count)
      return `the inputs of ${rank} are not its node`
    for (const [input, subtree] of inputs.entries()) {
      const parts = receives.filter((transfer) => transfer.input === input)
      if (parts.length === 0) return `rank ${rank} hears nothing of input ${input}`
      if (parts.some((part) => part.rank < subtree.first || part.rank >= subtree.first + subtree.count))
        return `rank ${rank} receives input ${input} from elsewhere`
      let at = begin
      for (const part of parts) {
        if (part.begin !== at) return `rank ${rank}: a gap or overlap at ${at} of input ${input}`
        at = part.end
        came.add(say(part.rank, rank, part))
      }
      if (at !== end) return `rank ${rank} has input ${input} up to ${at}, not ${end}`
    }
  }
  if (sent.size !== came.size) return `${sent.size} messages sent, ${came.size} expected`
  return [...sent].find((message) => !came.has(message))
}

const isWithin = ({ begin, end }: Transfer, [from, to]: [number, number]): boolean => from <= begin && end <= to

/** Owners of a node share the whole vector out, each in one place. */
function coverProblemOf(plans: (readonly Level[])[], level: number, layout: Layout): string | undefined {
  for (const [rank, plan] of plans.entries()) {
    const { node, owners, begins, index, begin, end } = plan[level]!
    if (owners[index] !== rank || begins[index] !== begin || begins[index + 1] !== end) return `the place of ${rank}`
    if (begins[0] !== 0 || begins[node.count] !== layout.elementCount) return 'the ends'
    if (rank !== node.first) continue
    const sorted = [...owners].sort((a, b) => a - b)
    if (sorted.some((owner, i) => owner !== node.first + i)) return `the owners of ${node.first}, ${node.count} ranks`
    if (begins.some((element, i) => i > 0 && element < begins[i - 1]!)) return 'the order of intervals'
  }
  return undefined
}

function check(t: ExecutionContext, kind: LevelKind, size: number, layout: Layout): (readonly Level[])[] {
  const plans = planWorld(kind, size, layout)
  let held = plans.map((): [number, number] => [0, layout.elementCount])
  for (let level = 0; level < plans[0]!.length; level++) {
    const problem = problemOf(plans, level, held) ?? coverProblemOf(plans, level, layout)
    if (problem) t.fail(`${kind}, ${size} ranks, level ${level}: ${problem}`)
    held = plans.map((plan) => [plan[level]!.begin, plan[level]!.end])
  }
  t.deepEqual(plans[0]!.at(-1)!.node, { first: 0, count: size })
  return plans
}

test('every element of every input arrives exactly once at its new owner, from somebody who holds it', (t) => {
  for (const size of SIZES) {
    const first = 100 * size * BLOCK_ELEMENTS + 5
    const layout = layoutOfArray(F32, 256 * size * BLOCK_ELEMENTS, [first, 0, 256 * size * BLOCK_ELEMENTS - first])
    for (const kind of kindsFor(size)) {
      const plans = check(t, kind, size, layout)
      // Up and down, every rank sends within 1 % of 2 (n - 1) / n of a large vector: no all-reduce can send less.
      const sent = plans.map((plan, rank) => sentElementCount(plan, rank))
      const [least, mean] = [(size - 1) / size, sent.reduce((a, b) => a + b) / size / layout.elementCount]
      // And needs no more memory than the vector's own, and a few blocks.
      const room = Math.max(...plans.map((plan) => roomElementCount(plan, 0))) / layout.elementCount
      t.true(room < 1.01, `${kind}, ${size} ranks: memory of ${room} vectors`)
      t.true(mean >= least * 0.999 && mean <= least * 1.01, `${kind}, ${size} ranks: ${mean / least} of the least`)
    }
  }
})

test('so it does for any layout, and for vectors of fewer blocks than there are ranks', (t) => {
  const anySize = fc.oneof(fc.integer({ min: 1, max: 70 }), fc.constantFrom(64, 128, 130, 257))
  fc.assert(
    fc.property(
      anySize,
      fc.oneof(
        anyLayout,
        fc.integer({ min: 1, max: 5000 }).map((n) => layoutOfArray(F32, n)),
      ),
      (size, layout) => {
        for (const kind of kindsFor(size)) check(t, kind, size, layout)
      },
    ),
    { numRuns: runsOf(15) },
  )
})

/** On the way up; on the way down the same is received. */
function sentElementCount(plan: readonly Level[], rank: number): number {
  const others = plan.flatMap(({ sends }) => sends).filter((transfer) => transfer.rank !== rank)
  return others.reduce((sum, { begin, end }) => sum + end - begin, 0)
}

test('no node has more than 16 inputs under levels, two under rvh; nodes are those of the tree', (t) => {
  for (const size of SIZES) {
    const depths = cutDepths('levels', size)
    t.is(depths.at(-1), 0)
    t.is(depths[0], Math.max(0, Math.ceil(Math.log2(size / 16))))
    t.is(depths.length, Math.max(1, Math.ceil(Math.log2(size) / 4)))
    for (const { count } of subtreesBelow({ first: 0, count: size }, depths[0]!)) t.true(count <= 16)
    if (isPowerOfTwo(size)) t.is(cutDepths('rvh', size).length, Math.max(1, Math.log2(size)))
  }
  const [plan] = planWorld('rvh', 64, layoutOfArray(F32, 1 << 20))
  for (const [level, { node, inputs }] of plan!.entries())
    t.deepEqual([node.count, inputs.length], [2 ** (level + 1), 2])
})

test('recursive vector halving: each interval is one half of the one before, the halves in order of rank', (t) => {
  const layout = layoutOfArray(F32, 64 * BLOCK_ELEMENTS)
  for (const [rank, plan] of planWorld('rvh', 16, layout).entries()) {
    let [begin, end] = [0, layout.elementCount]
    plan.forEach((level, i) => {
      const middle = (begin + end) / 2
      ;[begin, end] = (rank >> i) % 2 === 0 ? [begin, middle] : [middle, end]
      t.deepEqual([level.begin, level.end], [begin, end])
    })
  }
})

test('a plan for 1,024 ranks takes a moment', (t) => {
  const layout = layoutOfArray(
    F32,
    40_000_000,
    Array.from({ length: 400 }, () => 100_000),
  )
  const times = Array.from({ length: 20 }, (_, rank) => {
    const other = new LevelPlanner('levels', 1024, rank * 51)
    const begin = performance.now()
    other.plan(layout)
    return performance.now() - begin
  })
  // About 0.4 ms on a slow core; the least of many, since others use the machine as well.
  t.true(Math.min(...times) < 10, `${Math.min(...times)} ms`)
})
