/**
 * Random programs of collectives over two groups, in which one rank does something else, aborts, dies or stands still. No
 * call may hang, give a wrong value or touch its input, and whoever has not returned learns the same cause.
 */
import anyTest from 'ava'
import type { Communicator } from '../../ts/src/communicator/communicator.ts'
import { AdasumError } from '../../ts/src/errors.ts'
import type { CallOptions } from '../../ts/src/types.ts'
import { adasumSync, averageSync, sumSync } from '../../ts/src/reduction/local.ts'
import { fc } from '../_property.ts'
import { type World, bitsOf, makeWorld, onAll, vectorOf } from '../_world.ts'

const test = anyTest.serial

/** Where ranks may come to wait for each other, and where they must not. */
const [SHORT_TIMEOUT_MS, LONG_TIMEOUT_MS] = [400, 30_000]
const STANDSTILLS: readonly Deviation['what'][] = ['freeze', 'order', 'group']
const SIZE = 3

/** One collective, as a rank calls it. */
interface Step {
  /** 0: the world; 1: the group of all ranks in reverse order. */
  readonly group: 0 | 1
  readonly kind:
    'sum' | 'average' | 'adasum' | 'max' | 'broadcast' | 'allGather' | 'allToAll' | 'reduceScatter' | 'barrier'
  readonly isDouble: boolean
  readonly count: number
  readonly root: number
  readonly names: 'none' | 'ab' | 'xy'
}

const step: fc.Arbitrary<Step> = fc.record({
  group: fc.constantFrom(0, 1),
  kind: fc.constantFrom(
    'sum',
    'average',
    'adasum',
    'max',
    'broadcast',
    'allGather',
    'allToAll',
    'reduceScatter',
    'barrier',
  ),
  isDouble: fc.boolean(),
  // Sent at once, after a READY, and in slices; multiples of the number of ranks.
  count: fc.constantFrom(3, 300, 30_000, 120_000),
  root: fc.nat(SIZE - 1),
  names: fc.constantFrom('none', 'ab', 'xy'),
})

type Deviation =
  | { readonly what: 'order' | 'kind' | 'dtype' | 'count' | 'root' | 'names' | 'group' }
  | { readonly what: 'abort' | 'death' | 'freeze' | 'nothing' }

const deviation: fc.Arbitrary<Deviation> = fc.record({
  what: fc.constantFrom(
    'order',
    'kind',
    'dtype',
    'count',
    'root',
    'names',
    'group',
    'abort',
    'death',
    'freeze',
    'nothing',
  ),
})

const CODES: Record<Deviation['what'], string> = {
  ...{
    order: 'ERR_MISMATCH',
    kind: 'ERR_MISMATCH',
    dtype: 'ERR_MISMATCH',
    count: 'ERR_MISMATCH',
    root: 'ERR_MISMATCH',
  },
  ...{ names: 'ERR_MISMATCH', group: 'ERR_MISMATCH', nothing: 'none' },
  ...{ abort: 'ERR_ABORTED', death: 'ERR_PEER_LOST', freeze: 'ERR_TIMEOUT' },
}

/** What the deviating rank does from its step `at` on. */
function deviate(steps: readonly Step[], at: number, { what }: Deviation): Step[] {
  const changed = [...steps]
  const own = steps[at]!
  const next = (value: number, of: number): number => (value + 1) % of
  if (what === 'order' && at + 1 < steps.length) [changed[at], changed[at + 1]] = [steps[at + 1]!, own]
  if (what === 'kind') changed[at] = { ...own, kind: own.kind === 'sum' ? 'average' : 'sum' }
  if (what === 'dtype') changed[at] = { ...own, isDouble: !own.isDouble }
  if (what === 'count') changed[at] = { ...own, count: own.count === 3 ? 300 : own.count / 10 - ((own.count / 10) % 3) }
  if (what === 'root') changed[at] = { ...own, root: next(own.root, SIZE) }
  if (what === 'names') changed[at] = { ...own, names: own.names === 'ab' ? 'xy' : 'ab' }
  if (what === 'group') changed[at] = { ...own, group: own.group === 0 ? 1 : 0 }
  if (what === 'freeze' || what === 'death') changed.length = at
  return changed
}

/** What all ranks must have in common; steps that a collective does not look at are left out. */
function meaningOf({ kind, isDouble, count, root, names }: Step): string {
  if (kind === 'barrier') return kind
  const isNamed = names !== 'none' && !['allGather', 'allToAll', 'reduceScatter'].includes(kind)
  return [kind, isDouble, count, kind === 'broadcast' ? root : '', isNamed ? names : ''].join()
}

type Arrays = Float32Array | Float64Array

function inputOf({ isDouble, count }: Step, rank: number, index: number): Arrays {
  return vectorOf<Arrays>(isDouble ? new Float64Array(count) : new Float32Array(count), rank * 100 + index)
}

function named(array: Arrays, names: Step['names']): Arrays | Record<string, Arrays> {
  if (names === 'none') return array
  const [first, second] = [...names] as [string, string]
  const half = Math.floor(array.length / 2)
  return { [first]: array.subarray(0, half), [second]: array.subarray(half) }
}

const segmentsOf = ({ count, names }: Step): number[] => {
  const half = Math.floor(count / 2)
  return names === 'none' ? [count] : [half, count - half]
}

/** The result's bits; reductions leave the input alone, so that what fails can be seen to have done so. */
async function call(comm: Communicator, step: Step, input: Arrays, options: CallOptions): Promise<string> {
  const { kind, names, root } = step
  if (kind === 'barrier') return comm.barrier(options).then(() => '')
  if (kind === 'allGather') return bitsOf(await comm.allGather(input, options))
  if (kind === 'allToAll') return bitsOf((await comm.allToAll(input, options)).result)
  if (kind === 'reduceScatter') return bitsOf((await comm.reduceScatter(input, { op: 'sum', ...options })).result)
  const data = input.slice()
  const before = bitsOf(data)
  const running =
    kind === 'broadcast'
      ? comm.broadcast(named(data, names), { root, ...options })
      : comm.allReduce(named(data, names) as Record<string, Float32Array>, { op: kind, ...options })
  await running.catch((error: unknown) => {
    if (bitsOf(data) !== before) throw new Error(`${kind} failed and has changed its input`)
    throw error
  })
  return bitsOf(data)
}

/** What a rank of the group must get if all called the same. */
function expected(step: Step, rank: number, inputs: readonly Arrays[]): string {
  const { kind, root } = step
  const floats = inputs as Float32Array[]
  const segments = segmentsOf(step)
  const part = (array: Arrays, index: number): Arrays =>
    array.subarray((index * array.length) / SIZE, ((index + 1) * array.length) / SIZE)
  const join = (arrays: Arrays[]): string => {
    const whole = step.isDouble ? new Float64Array(step.count * SIZE) : new Float32Array(step.count * SIZE)
    let at = 0
    for (const array of arrays) whole.set(array, (at += array.length) - array.length)
    return bitsOf(whole.subarray(0, at))
  }
  switch (kind) {
    case 'barrier':
      return ''
    case 'sum':
      return bitsOf(sumSync(floats, { segments }).result)
    case 'average':
      return bitsOf(averageSync(floats, { segments }).result)
    case 'adasum':
      return bitsOf(adasumSync(floats, { segments }).result)
    case 'max':
      return bitsOf(inputs[0]!.map((_, i) => Math.max(...inputs.map((input) => input[i]!))))
    case 'broadcast':
      return bitsOf(inputs[root]!)
    case 'allGather':
      return join([...inputs])
    case 'allToAll':
      return join(inputs.map((input) => part(input, rank)))
    case 'reduceScatter':
      return bitsOf(part(sumSync(floats).result, rank).slice())
  }
}

interface Outcome {
  readonly group: 0 | 1
  /** Among the rank's calls of that group. */
  readonly index: number
  readonly step: Step
  readonly result: PromiseSettledResult<string>
}

/** Runs a rank's program, all calls at once or one after the other. */
async function play(
  comms: readonly [Communicator, Communicator],
  steps: readonly Step[],
  { isAtOnce, abortAt, timeoutMs }: { isAtOnce: boolean; abortAt: number; timeoutMs: number },
): Promise<Outcome[]> {
  const counts = [0, 0]
  const outcomes: Promise<Outcome>[] = []
  for (const [i, step] of steps.entries()) {
    const { group } = step
    const index = counts[group]!++
    const controller = new AbortController()
    const input = inputOf(step, comms[group].rank, index)
    const running = call(comms[group], step, input, { timeoutMs, ...(i === abortAt && { signal: controller.signal }) })
    const outcome = Promise.allSettled([running]).then(([result]) => ({ group, index, step, result }))
    outcomes.push(outcome)
    if (i === abortAt) setTimeout(() => controller.abort(), 1)
    if (!isAtOnce) await outcome
  }
  return Promise.all(outcomes)
}

async function run(
  world: World,
  steps: readonly Step[],
  { what, at, rank, isAtOnce }: { what: Deviation['what']; at: number; rank: number; isAtOnce: boolean },
): Promise<Outcome[][]> {
  const reversed = await onAll(world.ranks, (comm) => comm.split(0, -comm.rank))
  return Promise.all(
    world.ranks.map(async (comm, of) => {
      const own = of === rank ? deviate(steps, at, { what }) : steps
      const timeoutMs = STANDSTILLS.includes(what) ? SHORT_TIMEOUT_MS : LONG_TIMEOUT_MS
      const abortAt = of === rank && what === 'abort' ? at : -1
      const outcome = await play([comm, reversed[of]!], own, { isAtOnce, abortAt, timeoutMs })
      if (of === rank && what === 'death') world.kill(rank)
      return outcome
    }),
  )
}

/** Throws if an outcome breaks a promise. */
function judge(outcomes: readonly Outcome[][], what: Deviation['what']): void {
  for (const group of [0, 1] as const) {
    const ranks = outcomes.map((list) => list.filter((outcome) => outcome.group === group))
    // Ranks of the second group are in reverse order.
    const inOrder = group === 0 ? ranks : ranks.toReversed()
    const codes = new Set<string>()
    for (const [rank, list] of inOrder.entries())
      for (const { index, step, result } of list) {
        if (result.status === 'rejected') {
          if (!(result.reason instanceof AdasumError)) throw result.reason
          codes.add(result.reason.code)
          continue
        }
        const others = inOrder.map((calls) => calls[index]?.step)
        const isSame = others.every((other) => other && meaningOf(other) === meaningOf(step))
        const isOwnBroadcast = step.kind === 'broadcast' && step.root === rank
        if (!isSame && !isOwnBroadcast && step.kind !== 'broadcast')
          throw new Error(`rank ${rank} completed ${step.kind} #${index}, and others called something else`)
        const inputs = inOrder.map((_, of) => inputOf(step, of, index))
        if (isSame && result.value !== expected(step, rank, inputs))
          throw new Error(`rank ${rank}: a wrong value of ${step.kind} #${index}`)
      }
    // One cause a group; but that a rank is elsewhere, two others may come to know at the same moment in two ways: by what
    // it calls next, and by how long it has not come.
    const allowed = [CODES[what], ...(what === 'order' || what === 'group' ? ['ERR_TIMEOUT'] : [])]
    for (const code of codes)
      if (!allowed.includes(code)) throw new Error(`${code} where ${what} should give ${allowed.join()}`)
  }
}

test('whatever one rank does, every call ends, with the right value or the one cause', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 1, maxLength: 6 }),
      fc.nat(),
      fc.nat(SIZE - 1),
      deviation,
      fc.boolean(),
      async (steps, place, rank, { what }, isAtOnce) => {
        const world = await makeWorld(SIZE, { isConnected: false, stallMs: 60_000 })
        const outcomes = await run(world, steps, { what, at: place % steps.length, rank, isAtOnce })
        judge(outcomes, what)
        await world.close()
      },
    ),
    { numRuns: 60 },
  )
  t.pass()
})
