/**
 * Random programs of ranks that run out of data at different times, epoch after epoch: the ranks that go on get what they
 * get if the others make the same calls with weight 0.
 */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import anyTest from 'ava'
import type { Communicator } from '../../ts/src/communicator/communicator.ts'
import { Compressor } from '../../ts/src/compressor.ts'
import { AdasumError } from '../../ts/src/errors.ts'
import { HAS_SHARED_MEMORY } from '../../ts/src/shared-memory/shared-memory.ts'
import { tcp } from '../../ts/src/transport/tcp.ts'
import type { AllReduceAlgorithm, Operator, ReducibleArray } from '../../ts/src/types.ts'
import { fill, shared } from '../shared-memory/_memory.ts'
import { createMemoryTransport } from '../transport/_memory.ts'
import { fc, runsOf } from '../_property.ts'
import { LONG, reduce, worldOf, worldWithReports } from '../group/_joining.ts'
import { type World, bitsOf, failuresOf, makeWorld, onAll } from '../_world.ts'

// One after the other: each opens many connections.
const test = anyTest.serial

const WAYS = {
  memory: () => ({ transport: createMemoryTransport() }),
  tcp: () => ({ transport: tcp }),
  ...(HAS_SHARED_MEMORY && { 'shared memory': () => ({ transport: tcp, sharedMemory: shared() }) }),
}

const DTYPES = { f32: Float32Array, f64: Float64Array, f16: Uint16Array, bf16: Uint16Array } as const
type DtypeName = keyof typeof DTYPES

/** A kind of all-reduce: what is the same on all ranks. Some of it only fits some of the others. */
const anyKind = fc.record({
  op: fc.constantFrom(
    'average',
    'adasum',
    { name: 'adasum', kappa: 0.5 },
    { name: 'adasum', kappa: 1.5 },
    { name: 'adascale' },
  ),
  dtype: fc.constantFrom<DtypeName>('f32', 'f32', 'f64', 'f16', 'bf16'),
  segments: fc.array(fc.oneof(fc.integer({ min: 1, max: 3000 }), fc.integer({ min: 1, max: 30_000 })), {
    minLength: 1,
    maxLength: 3,
  }),
  shape: fc.constantFrom('segments', 'names', 'micro-batches', 'out', 'out in f32'),
  algorithm: fc.constantFrom<AllReduceAlgorithm>('auto', 'direct', 'single-shot', 'levels', 'rvh'),
  hierarchy: fc.constantFrom(undefined, undefined, 'average', 'adasum'),
  bucketBytes: fc.constantFrom(undefined, 5000),
  onNonFinite: fc.constantFrom('throw', 'skip', 'propagate'),
  /** A rank whose data are not finite. */
  bad: fc.constantFrom(undefined, undefined, 0, 1),
  format: fc.constantFrom(undefined, undefined, 'f16', 'int8'),
})
type Kind = typeof anyKind extends fc.Arbitrary<infer K> ? K : never

const anyProgram = fc.record({
  size: fc.integer({ min: 1, max: 5 }),
  isConnected: fc.boolean(),
  kinds: fc.array(anyKind, { minLength: 1, maxLength: 3 }),
  epochs: fc.array(
    fc.record({
      /** By rank: after how many calls it has no more data. */
      counts: fc.array(fc.nat(4), { minLength: 5, maxLength: 5 }),
      /** By rank: whether it awaits its calls only at the end. */
      inFlight: fc.array(fc.boolean(), { minLength: 5, maxLength: 5 }),
      calls: fc.array(fc.nat(2), { minLength: 4, maxLength: 4 }),
    }),
    { minLength: 1, maxLength: 3 },
  ),
  seed: fc.nat(1e6),
})
type Program = typeof anyProgram extends fc.Arbitrary<infer P> ? P : never
type Mode = 'join' | 'weight 0'

const sumOf = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0)

function dataOf(kind: Kind, seed: number): ReducibleArray {
  return fill(new DTYPES[kind.dtype](sumOf(kind.segments)), kind.dtype, seed)
}

function spoil(array: ReducibleArray, { dtype }: Kind): void {
  array[0] = dtype === 'f16' || dtype === 'bf16' ? 0x7fff : NaN
}

/** One rank's part in a program. */
class Rank {
  readonly #comm: Communicator
  readonly #program: Program
  readonly #mode: Mode
  /** One for each kind, as a caller has them; and those of calls that only take part. */
  readonly #compressors: Compressor[]
  readonly #idle: Compressor[]
  readonly outcomes: Promise<string>[] = []

  constructor(comm: Communicator, program: Program, mode: Mode) {
    this.#comm = comm
    this.#program = program
    this.#mode = mode
    const formats = program.kinds.map(({ format = 'f16' }) => format)
    this.#compressors = formats.map((format) => new Compressor({ format }))
    this.#idle = formats.map((format) => new Compressor({ format, errorFeedback: false }))
  }

  async run(): Promise<string[]> {
    const { kinds, epochs } = this.#program
    // A rank can take part in what it has made itself.
    for (const index of kinds.keys()) await this.#call(index, this.#comm.rank + 1, index)
    const lasts: number[] = []
    for (const [number, epoch] of epochs.entries()) lasts.push(await this.#epoch(epoch, 10 * (number + 1)))
    return [...(await Promise.all(this.outcomes)), lasts.join()]
  }

  async #epoch({ counts, inFlight, calls }: Program['epochs'][number], time: number): Promise<number> {
    const { rank, size } = this.#comm
    const here = counts.slice(0, size)
    const most = Math.max(...here)
    for (let batch = 0; batch < (this.#mode === 'join' ? here[rank]! : most); batch++) {
      for (let turn = (this.#program.seed + 7 * rank + 3 * batch) % 4; turn > 0; turn--) await nextTurn()
      const index = calls[batch]! % this.#program.kinds.length
      const outcome = this.#call(index, batch < here[rank]! ? 1 + ((rank + batch) % 3) : 0, time + batch)
      // A compressor serves one call at a time.
      if (!inFlight[rank] || this.#isCompressed(index)) await Promise.all([...this.outcomes, outcome])
    }
    if (this.#mode === 'join') return (await this.#comm.join()).lastRank
    await Promise.all(this.outcomes)
    return here.lastIndexOf(most)
  }

  #isCompressed(index: number): boolean {
    const { dtype, format } = this.#program.kinds[index]!
    return dtype === 'f32' && format !== undefined
  }

  /** Makes a call; what comes of it counts if this rank has data, which are others at each time. */
  #call(index: number, weight: number, time: number): Promise<string> {
    const kind = this.#program.kinds[index]!
    const { rank, size } = this.#comm
    const { op, dtype, hierarchy, bucketBytes, bad } = kind
    const onNonFinite = kind.onNonFinite === 'propagate' && bad !== undefined ? 'skip' : kind.onNonFinite
    const algorithm = hierarchy && op === 'adasum' ? 'auto' : kind.algorithm
    const isHalf = dtype === 'f16' || dtype === 'bf16'
    const options = {
      ...{ op, onNonFinite, weight },
      algorithm: algorithm === 'rvh' && !Number.isInteger(Math.log2(size)) ? 'levels' : algorithm,
      ...(isHalf && { dtype }),
      ...(op === 'adasum' && hierarchy && { hierarchy }),
      ...(bucketBytes && { bucketBytes }),
      ...(this.#isCompressed(index) && { compressor: (weight > 0 ? this.#compressors : this.#idle)[index] }),
    }
    const data = dataOf(kind, this.#program.seed + 100 * rank + time)
    if (bad === rank) spoil(data, kind)
    const outcome = outcomeOf(this.#comm, kind, data, options)
    if (weight > 0) this.outcomes.push(outcome)
    return outcome
  }
}

async function outcomeOf(comm: Communicator, kind: Kind, data: ReducibleArray, options: object): Promise<string> {
  const { segments, shape, dtype } = kind
  const isHalf = dtype === 'f16' || dtype === 'bf16'
  const more = {
    segments: { segments },
    names: {},
    'micro-batches': { segments, local: 'adasum' },
    out: { segments, out: data.slice() },
    'out in f32': { segments, out: isHalf ? new Float32Array(data.length) : data.slice() },
  }[shape]
  let at = 0
  const named = Object.fromEntries(segments.map((count, i) => [`w${i}`, data.slice(at, (at += count))]))
  const given = shape === 'names' ? named : shape === 'micro-batches' ? [data, data.slice()] : data
  try {
    const { result, ...report } = await comm.allReduce(given as Float32Array, { ...options, ...more } as never)
    const arrays = ArrayBuffer.isView(result) ? [result] : Object.values<Float32Array>(result)
    return [
      ...arrays.map((array) => bitsOf(array).slice(0, 12)),
      JSON.stringify({ ...(report as object), bytesSent: 0 }),
    ].join()
  } catch (error) {
    return `${(error as AdasumError).code}: ${(error as AdasumError).message.replace(/#\d+/, '')}`
  }
}

async function outcomesOf(world: World, program: Program, mode: Mode): Promise<string[][]> {
  const outcomes = await onAll(world.ranks, (comm) => new Rank(comm, program, mode).run())
  await world.close()
  return outcomes
}

for (const [name, way] of Object.entries(WAYS))
  test(`${name}: results are those of the same calls with weight 0`, async (t) => {
    await fc.assert(
      fc.asyncProperty(anyProgram, async (program) => {
        const make = () =>
          makeWorld(program.size, { ...way(), isConnected: program.isConnected, machineOf: (rank) => rank >> 1 })
        const joined = await outcomesOf(await make(), program, 'join')
        t.deepEqual(joined, await outcomesOf(await make(), program, 'weight 0'))
      }),
      { numRuns: runsOf(name === 'memory' ? 60 : 20) },
    )
    t.pass()
  })

/** Turns of the event loop in which everything that is sent in memory has come, long before a call announces itself. */
async function turns(count = 100): Promise<void> {
  for (let turn = 0; turn < count; turn++) await nextTurn()
}

test('ranks that have joined hear of each call at once, whomever the schedule sends to first', async (t) => {
  const world = await makeWorld(4)
  const call = (comm: Communicator): Promise<unknown> =>
    comm.allReduce(new Float32Array(LONG), { op: 'adasum', algorithm: 'rvh', weight: 1 })
  await Promise.all(world.ranks.map(call))
  const joins = world.ranks.slice(2).map((comm) => comm.join())
  const first = call(world.ranks[0]!)
  await turns()
  // Rank 0 sends to rank 1 first.
  for (const group of world.groups.slice(2))
    t.like(group.flightRecord().at(-1), { title: 'shadowed all-reduce #2', state: 'running' })
  await Promise.all([first, call(world.ranks[1]!)])
  await Promise.all([...joins, ...world.ranks.slice(0, 2).map((comm) => comm.join())])
  await world.close()
})

test('a message that waits for a rank which has joined is refused at once, begun before or after', async (t) => {
  const messages = {
    send: (comm: Communicator) => comm.send(new Float32Array(10), { to: 0 }),
    receive: (comm: Communicator) => comm.receive(new Float32Array(10), { from: 0 }),
  }
  for (const [what, message] of Object.entries(messages))
    for (const isFirst of [true, false]) {
      const world = await worldOf(3)
      const [a, b] = world.ranks
      const calls: Promise<unknown>[] = [isFirst ? a!.join() : message(b!)]
      await turns()
      calls.push(isFirst ? message(b!) : a!.join())
      const all = failuresOf(calls)
      await turns()
      t.not(world.groups[1]!.lastWords, undefined, `${what}, ${isFirst}`)
      for (const error of (await all) as AdasumError[]) t.is(error.code, 'ERR_UNSUPPORTED')
      await world.close()
    }
})

test('a join ends after the calls that this rank takes part in', async (t) => {
  const world = await worldOf(2)
  const [a, b] = world.ranks
  const join = a!.join()
  await turns()
  const others = [reduce(b!, { length: LONG }), b!.join()]
  await join
  t.like(world.groups[0]!.flightRecord().at(-1), { title: 'shadowed all-reduce #3', state: 'completed' })
  await Promise.all(others)
  await world.close()
})

test('a rank that closes after its join has told a rank that is slow to connect', async (t) => {
  const transport = createMemoryTransport()
  let dialled = 0
  const dial = transport.dial.bind(transport)
  transport.dial = async (...args) => {
    // Rank 0 dials first, to hear of rank 1; so rank 1 can speak to rank 0 before it is spoken to.
    if (++dialled === 2) await sleep(50)
    return dial(...args)
  }
  const world = await makeWorld(2, { transport, isConnected: false })
  const joined = await onAll(world.ranks, async (comm) => {
    const { lastRank } = await comm.join()
    await comm.close()
    return lastRank
  })
  t.deepEqual(joined, [1, 1])
})

test('a rank can take part in the 256 kinds of calls that it has made last', async (t) => {
  const kinds = [...Array.from({ length: 256 }, (_, i) => 1 + i), 1, 257]
  for (const [length, isKnown] of [
    [1, true],
    [3, true],
    [2, false],
  ] as const) {
    const world = await makeWorld(2)
    for (const kind of kinds) await Promise.all(world.ranks.map((comm) => reduce(comm, { length: kind })))
    const [a, b] = world.ranks
    const results = await Promise.allSettled([a!.join(), reduce(b!, { length }).then(() => b!.join())])
    for (const result of results)
      if (isKnown) t.is(result.status, 'fulfilled')
      else t.like(result, { reason: { code: 'ERR_UNSUPPORTED', operation: 'all-reduce' } })
    await world.close()
  }
})

test('functions of the caller, which no joined rank can know, push out no kind of calls', async (t) => {
  const world = await worldOf(2)
  const [a, b] = world.ranks
  const average: Operator = { name: 'custom', coefficients: (gram) => gram.map(() => 1 / gram.length) }
  for (let kind = 1; kind <= 256; kind++)
    await onAll(world.ranks, (comm) => comm.allReduce(new Float32Array(kind + 20), { op: average, weight: 1 }))
  await Promise.all([a!.join(), reduce(b!).then(() => b!.join())])
  await world.close()
  t.pass()
})

test('the time of a join begins anew when a call has ended that its rank has made before', async (t) => {
  const world = await worldOf(2)
  const [a, b] = world.ranks
  const call = reduce(a!, { length: LONG })
  const join = a!.join({ timeoutMs: 1000 })
  await sleep(800)
  await Promise.all([call, reduce(b!, { length: LONG })])
  await sleep(600)
  t.deepEqual(await Promise.all([join, b!.join()]), Array<unknown>(2).fill({ lastRank: 1 }))
  await world.close()
})

test('a join that has waited through a slow call is reported once it waits for its peers', async (t) => {
  const { world, reports } = await worldWithReports(t, 3, { stallMs: 150 })
  const [a, b, c] = world.ranks
  const join = a!.join()
  const call = reduce(b!, { length: LONG })
  await sleep(500)
  await Promise.all([call, reduce(c!, { length: LONG })])
  const isReported = (): boolean => reports.some(({ operation }) => operation === 'join')
  t.false(isReported())
  for (let turn = 0; turn < 400 && !isReported(); turn++) await sleep(5)
  t.true(isReported())
  await Promise.all([join, b!.join(), c!.join()])
  await world.close()
})

test('what is wrong with the arguments of join fails that call alone', async (t) => {
  const world = await worldOf(2)
  const [a] = world.ranks
  const wrong = [{ timeoutMs: -1 }, { timeoutMs: 'x' }, { signal: 3 }, { weight: 0 }, 3, null, []]
  for (const options of wrong)
    await t.throwsAsync(() => a!.join(options as never), { instanceOf: AdasumError, code: 'ERR_ARGUMENT' })
  await t.throwsAsync(() => a!.join({ signal: AbortSignal.abort() }), { code: 'ERR_ABORTED' })
  await Promise.all(world.ranks.map((comm) => comm.join()))
  await world.close()
  await t.throwsAsync(() => a!.join(), { code: 'ERR_CLOSED' })
})

test('groups made by split are not concerned', async (t) => {
  const world = await worldOf(4)
  const halves = (await onAll(world.ranks, (comm) => comm.split(comm.rank % 2))) as Communicator[]
  await Promise.all(halves.map((half) => reduce(half)))
  const joins = [world.ranks[0]!.join(), halves[1]!.join()]
  // Rank 0 has joined in the world, and rank 1 in its half: each takes part in the other group.
  await Promise.all([reduce(halves[0]!), reduce(halves[2]!)])
  const { weights } = await reduce(halves[3]!)
  t.deepEqual(weights, [0, 1])
  await Promise.all(world.ranks.slice(1).map((comm) => reduce(comm)))
  t.deepEqual(await Promise.all([joins[1], halves[3]!.join()]), [{ lastRank: 1 }, { lastRank: 1 }])
  await Promise.all([joins[0], ...world.ranks.slice(1).map((comm) => comm.join())])
  await onAll(halves, (half) => half.barrier())
  await world.close()
})

test('joins and shadowed calls have names of their own in metrics and flight records', async (t) => {
  const world = await worldOf(2)
  const [a, b] = world.ranks
  const join = a!.join()
  await reduce(b!)
  await Promise.all([join, b!.join()])
  const countsOf = (comm: Communicator): Record<string, number> =>
    Object.fromEntries(comm.metrics().calls.map(({ operation, op, calls }) => [`${operation} ${op ?? ''}`, calls]))
  t.deepEqual(countsOf(a!), { 'all-reduce average': 2, 'shadowed all-reduce average': 1, 'join ': 1 })
  t.deepEqual(countsOf(b!), { 'all-reduce average': 3, 'join ': 1 })
  t.deepEqual(
    world.groups[0]!.flightRecord().map(({ title, state }) => `${title} ${state}`),
    ['all-reduce #1', 'all-reduce #2', 'join #1', 'shadowed all-reduce #3'].map((title) => `${title} completed`),
  )
  t.is(world.groups[0]!.lastCompleted, 4)
  await world.close()
})
