/**
 * Arguments that fight back, in every place of every public call: each is refused with a typed error, or does no harm, and the
 * group goes on.
 */
import test from 'ava'
import { Compressor } from '../../ts/src/compressor.ts'
import { connectBy } from '../../ts/src/communicator/connect.ts'
import type { Communicator } from '../../ts/src/communicator/communicator.ts'
import * as known from '../../ts/src/communicator/options.ts'
import { AdasumError } from '../../ts/src/errors.ts'
import { metricsText } from '../../ts/src/observe/prometheus.ts'
import { allocateArrays } from '../../ts/src/reduction/allocate.ts'
import { adasum, adasumSync, average, averageSync, sum, sumSync } from '../../ts/src/reduction/local.ts'
import { createMemoryTransport } from '../transport/_memory.ts'
import { CONNECT_OPTIONS } from '../../ts/src/connect-options.ts'
import { ALL_REDUCE_OPTIONS, CALL_OPTIONS, REDUCE_OPTIONS } from '../../ts/src/types.ts'
import { failuresOf, makeWorld, onAll } from '../_world.ts'

const thrower = (what: unknown): never => {
  throw what
}
const throwing = (target: object, what: unknown = new TypeError('wrong on purpose')): object => {
  const trap = (): never => thrower(what)
  return new Proxy(target, {
    get: trap,
    has: trap,
    ownKeys: trap,
    getOwnPropertyDescriptor: trap,
    getPrototypeOf: trap,
  })
}

function revoked(target: object): object {
  const { proxy, revoke } = Proxy.revocable(target, {})
  revoke()
  return proxy
}

function detached(): Float32Array {
  const array = new Float32Array(4)
  structuredClone(array.buffer, { transfer: [array.buffer] })
  return array
}

/** None of them is good for anything, wherever it comes. */
const HOSTILE: Record<string, () => unknown> = {
  null: () => null,
  'a symbol': () => Symbol('x'),
  'a bigint': () => 7n,
  NaN: () => NaN,
  '-1': () => -1,
  'a string': () => 'x\u001b[2J',
  'a function': () => () => thrower(new Error('called')),
  'an object without a prototype': () => Object.create(null) as unknown,
  'an object that is no number': () => ({ valueOf: () => thrower(new Error('valued')), toString: () => thrower(1) }),
  'an endless list': () => ({ length: 2 ** 53 - 1 }),
  'an endless list of zeros': () => new Proxy([], { get: (_, name) => (name === 'length' ? 2 ** 53 - 1 : 0) }),
  'a list whose length throws': () => ({
    get length() {
      return thrower(new Error('no length'))
    },
  }),
  'a proxy that throws': () => throwing({}),
  'a proxy of an array that throws nothing': () => throwing([], null),
  'a proxy that throws a revoked one': () => throwing({}, revoked({})),
  'a proxy of a typed array': () => throwing(new Float32Array(4)),
  'a revoked proxy': () => revoked({}),
  'a revoked list': () => revoked([]),
  'a revoked function': () => revoked(() => undefined),
  'a detached array': detached,
  bigints: () => BigInt64Array.of(1n, 3n),
}

/** Objects without any names are options, too. */
const EMPTY = ['an object without a prototype', 'a detached array']

interface Place {
  readonly method: string
  readonly argument: string
  readonly call: (comm: Communicator, value: unknown) => unknown
  /** What may come there after all. */
  readonly allows?: readonly string[]
}

type Loose = Record<string, (...args: unknown[]) => unknown>
const data = (): Float32Array => Float32Array.of(1, 2, 3, 4)

/** A method, its first arguments, the options it needs, and those it knows. */
const METHODS: [method: string, before: () => unknown[], needed: object, options: object][] = [
  ['allReduce', () => [data()], { op: 'sum' }, ALL_REDUCE_OPTIONS],
  ['allReduce', () => [{ a: data(), b: data() }], { op: 'adasum' }, ALL_REDUCE_OPTIONS],
  ['allReduce', () => [[data(), data()]], { op: 'sum', local: 'sum' }, known.MICRO_BATCH_OPTIONS],
  ['reduceScatter', () => [data()], { op: 'average' }, known.REDUCE_SCATTER_OPTIONS],
  ['broadcast', () => [data()], {}, known.BROADCAST_OPTIONS],
  ['allGather', () => [data()], {}, known.GATHER_OPTIONS],
  ['allToAll', () => [data()], {}, known.ALL_TO_ALL_OPTIONS],
  ['send', () => [data()], { to: 1 }, known.SEND_OPTIONS],
  ['receive', () => [data()], { from: 1 }, known.RECEIVE_OPTIONS],
  ['barrier', () => [], {}, CALL_OPTIONS],
  ['split', () => [0, 0], {}, CALL_OPTIONS],
]

function places(): Place[] {
  const list: Place[] = []
  const loose = (comm: Communicator): Loose => comm as unknown as Loose
  for (const [method, before, needed, options] of METHODS) {
    const first = before()
    first.forEach((_, index) =>
      list.push({
        method,
        argument: `argument ${index + 1}`,
        // Integers may be moved, and summed; a key may be any whole number.
        allows: method === 'split' ? (index === 1 ? ['-1'] : []) : ['bigints'],
        call: (comm, value) => loose(comm)[method]!(...before().with(index, value), needed),
      }),
    )
    list.push({
      ...{ method, argument: 'the options', allows: EMPTY },
      call: (comm, value) => loose(comm)[method]!(...before(), value),
    })
    for (const name of Object.keys(options))
      list.push({
        method,
        argument: name,
        call: (comm, value) => loose(comm)[method]!(...before(), { ...needed, [name]: value }),
      })
    list.push({
      method,
      argument: 'an option that is not there',
      call: (comm, value) => loose(comm)[method]!(...before(), { ...needed, nonsense: value }),
    })
  }
  list.push(
    {
      method: 'allReduce',
      argument: 'a name',
      call: (comm, value) => loose(comm)['allReduce']!({ a: data(), b: value }, { op: 'sum' }),
    },
    {
      method: 'allReduce',
      argument: 'a name of out',
      call: (comm, value) => loose(comm)['allReduce']!({ a: data() }, { op: 'sum', out: { a: value } }),
    },
    {
      method: 'allReduce',
      argument: 'a micro-batch',
      call: (comm, value) => loose(comm)['allReduce']!([data(), value], { op: 'sum', local: 'sum' }),
    },
    { method: 'shard', argument: 'count', call: (comm, value) => comm.shard(value as number) },
    { method: 'allocate', argument: 'dtype', call: (comm, value) => comm.allocate(value as 'f32', 4) },
    { method: 'allocate', argument: 'count', call: (comm, value) => comm.allocate('f32', value as number) },
  )
  return list
}

/** Undefined if it was refused as it should be, and what happened otherwise. */
async function misbehaviour(run: () => unknown, codes: readonly string[]): Promise<string | undefined> {
  try {
    await run()
    return 'succeeded'
  } catch (error) {
    if (!(error instanceof AdasumError)) return `threw what is none of ours: ${describe(error)}`
    return codes.includes(error.code) && error.message.length < 2000 ? undefined : String(error)
  }
}

function describe(error: unknown): string {
  try {
    return error instanceof Error ? error.stack! : String(error)
  } catch {
    return 'something unspeakable'
  }
}

test('every argument and option of every method, with every hostile value', async (t) => {
  const world = await makeWorld(2, { transport: createMemoryTransport(), timeoutMs: 2000 })
  const [comm] = world.ranks as [Communicator]
  for (const { method, argument, call, allows = [] } of places())
    for (const [name, make] of Object.entries(HOSTILE)) {
      if (allows.includes(name)) continue
      const found = await misbehaviour(() => call(comm, make()), ['ERR_ARGUMENT', 'ERR_UNSUPPORTED'])
      if (found !== undefined) t.fail(`${method}, ${argument}, ${name}: ${found}`)
    }
  // None of it has taken a number, nor has anything been sent.
  const results = await onAll(world.ranks, (one) => one.allReduce(data(), { op: 'sum' }))
  for (const { result } of results) t.deepEqual([...result], [2, 4, 6, 8])
  await Promise.all([world.ranks[0]!.send(data(), { to: 1 }), world.ranks[1]!.receive(data(), { from: 0 })])
  t.deepEqual(
    world.groups.map(({ lastCompleted }) => lastCompleted),
    [1, 1],
  )
  await world.close()
})

test('the functions beside the communicator', async (t) => {
  const functions: [name: string, options: object, call: (...args: never[]) => unknown][] = [
    ...[adasum, sum, average, adasumSync, sumSync, averageSync].map(
      (call): [string, object, (...args: never[]) => unknown] => [
        call.name,
        { ...REDUCE_OPTIONS, backend: true },
        call,
      ],
    ),
  ]
  const codes = ['ERR_ARGUMENT', 'ERR_UNSUPPORTED']
  const check = async (
    what: string,
    call: (value: unknown) => unknown,
    allows: readonly string[] = [],
  ): Promise<void> => {
    for (const [name, make] of Object.entries(HOSTILE)) {
      if (allows.includes(name)) continue
      const found = await misbehaviour(() => call(make()), codes)
      if (found !== undefined) t.fail(`${what}, ${name}: ${found}`)
    }
  }
  for (const [name, options, call] of functions) {
    const loose = call as (...args: unknown[]) => unknown
    await check(`${name}, inputs`, (value) => loose(value))
    await check(`${name}, an input`, (value) => loose([data(), value]))
    await check(`${name}, the options`, (value) => loose([data()], value), EMPTY)
    for (const option of Object.keys(options))
      await check(`${name}, ${option}`, (value) => loose([data(), data()], { [option]: value }))
  }
  await check('metricsText', (value) => metricsText(value as never))
  await check('metricsText, rows', (value) => metricsText({ calls: value, errors: {} } as never))
  await check('Compressor', (value) => new Compressor(value as never))
  for (const option of ['format', 'blockElementCount', 'errorFeedback'])
    await check(`Compressor, ${option}`, (value) => new Compressor({ format: 'int8', [option]: value } as never))
  await check('allocateArrays, type', (value) => allocateArrays(value as never, 4, 1))
  await check('allocateArrays, elementCount', (value) => allocateArrays(Float32Array, value as number, 1))
  await check('allocateArrays, count', (value) => allocateArrays(Float32Array, 4, value as number))
  const connect = (options: unknown) => connectBy({ transport: createMemoryTransport() }, options as object, {})
  await check('connect', connect, EMPTY)
  for (const option of Object.keys(CONNECT_OPTIONS)) {
    const needed = { rank: 0, size: 1 }
    const found: string[] = []
    for (const [name, make] of Object.entries(HOSTILE)) {
      // Text may say anything, and so may a function that is to be called.
      const isText = name === 'a string' && ['secret', 'host', 'machine', 'timeline', 'flightRecord'].includes(option)
      const isEmpty = option === 'tuning' && EMPTY.includes(name)
      if (isText || isEmpty || (option === 'onStall' && name.includes('function'))) continue
      const wrong = await misbehaviour(
        () => connect({ ...needed, [option]: make() }),
        ['ERR_ARGUMENT', 'ERR_WORLD_SIZE'],
      )
      if (wrong !== undefined) found.push(`${name}: ${wrong}`)
    }
    t.deepEqual(found, [], `connect, ${option}`)
  }
})

class Liar extends Float32Array {
  override get length(): number {
    return 1_000_000
  }
  override get byteLength(): number {
    return 4_000_000
  }
  override get byteOffset(): number {
    return 3
  }
  override get buffer(): ArrayBuffer {
    return thrower(new Error('no buffer'))
  }
  override get [Symbol.toStringTag](): 'Float32Array' {
    return thrower(new Error('no tag'))
  }
}

test('arrays that lie of their length and place are taken for what they are', async (t) => {
  const world = await makeWorld(2)
  const liar = (): Float32Array => {
    const array = new Liar(4)
    for (let i = 0; i < 4; i++) array[i] = i + 1
    return Object.defineProperty(array, 'length', { value: 7, configurable: true })
  }
  const values = (array: Float32Array): number[] => Array.from({ length: 4 }, (_, i) => array[i]!)
  const [reduced] = await onAll(world.ranks, (comm) => comm.allReduce(liar(), { op: 'sum', segments: [1, 3] }))
  t.deepEqual(values(reduced!.result), [2, 4, 6, 8])
  const [named] = await onAll(world.ranks, (comm) => comm.allReduce({ a: liar(), b: liar() }, { op: 'adasum' }))
  t.deepEqual(values(named!.result.a), [1, 2, 3, 4])
  const [out] = await onAll(world.ranks, (comm) => comm.allReduce(liar(), { op: 'sum', out: liar() }))
  t.deepEqual(values(out!.result), [2, 4, 6, 8])
  const parts = await onAll(world.ranks, (comm) => comm.reduceScatter(liar(), { op: 'sum', counts: [1, 3] }))
  t.deepEqual(
    parts.map(({ result }) => [...result]),
    [[2], [4, 6, 8]],
  )
  const gathered = await onAll(world.ranks, (comm) => comm.allGather(liar()))
  t.deepEqual([...gathered[1]!], [1, 2, 3, 4, 1, 2, 3, 4])
  const exchanged = await onAll(world.ranks, (comm) => comm.allToAll(liar(), { counts: [3, 1] }))
  t.deepEqual(
    exchanged.map(({ result }) => [...result]),
    [
      [1, 2, 3, 1, 2, 3],
      [4, 4],
    ],
  )
  await onAll(world.ranks, (comm) => comm.broadcast(liar()))
  const received = liar().fill(0)
  await Promise.all([world.ranks[0]!.send(liar(), { to: 1 }), world.ranks[1]!.receive(received, { from: 0 })])
  t.deepEqual(values(received), [1, 2, 3, 4])
  const [batches] = await onAll(world.ranks, (comm) => comm.allReduce([liar(), liar()], { op: 'sum', local: 'sum' }))
  t.deepEqual([...batches!.result], [4, 8, 12, 16])
  t.deepEqual([...adasumSync([liar(), data()]).result], [1, 2, 3, 4])
  t.deepEqual(values((await sum([data(), data()], { out: liar() })).result), [2, 4, 6, 8])
  await world.close()
})

test('options and named arrays are read once, and those of a prototype count', async (t) => {
  const world = await makeWorld(2)
  const results = await onAll(world.ranks, (comm) => {
    let readCount = 0
    const arrays = {
      get a() {
        return ++readCount === 1 ? data() : (new Float64Array(1) as never)
      },
    }
    let opCount = 0
    const options = {
      get op() {
        return ++opCount === 1 ? ('sum' as const) : (7 as never)
      },
    }
    return comm.allReduce(arrays, options)
  })
  t.is(results.length, 2)
  const inherited = Object.create({ op: 'sum' }) as { op: 'sum' }
  const reduced = await onAll(world.ranks, (comm) => comm.allReduce(data(), inherited))
  for (const { result } of reduced) t.deepEqual([...result], [2, 4, 6, 8])
  await world.close()
})

test('a signal that throws fails its own call', async (t) => {
  const world = await makeWorld(2)
  const refuse = (): never => thrower(new Error('no'))
  const base = { aborted: false, addEventListener: () => undefined, removeEventListener: () => undefined }
  let askedCount = 0
  const signals = [
    { ...base, addEventListener: refuse },
    {
      ...base,
      get aborted() {
        return ++askedCount > 1 ? refuse() : false
      },
    },
  ]
  for (const signal of signals) {
    const [error] = await failuresOf([world.ranks[0]!.barrier({ signal: signal as never })])
    t.like(error, { code: 'ERR_ARGUMENT' })
  }
  const late = { ...base, removeEventListener: refuse } as never
  await onAll(world.ranks, (comm) => comm.barrier({ signal: late }))
  await world.close()
})
