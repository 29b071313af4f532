/** What the communicator refuses before anything is sent: by code, and only that call fails. */
import test from 'ava'
import type { Communicator } from '../../ts/src/communicator/communicator.ts'
import { AdasumError } from '../../ts/src/errors.ts'
import { createMemoryTransport } from '../transport/_memory.ts'
import type { AllReduceOptions } from '../../ts/src/types.ts'
import { bitsOf, failuresOf, makeWorld, onAll } from '../_world.ts'

const DATA = Float32Array.of(1, 2, 3, 4)
// Room for an f32 result over them.
const HALF = new Uint16Array(new ArrayBuffer(16), 0, 4)
const shared = new Float32Array(new SharedArrayBuffer(16))
const resizable = new Float32Array(Reflect.construct(ArrayBuffer, [16, { maxByteLength: 32 }]) as ArrayBuffer, 0, 4)

function detached(): Float32Array {
  const array = DATA.slice()
  structuredClone(array.buffer, { transfer: [array.buffer] })
  return array
}

type Refused = Record<string, [data: unknown, options: unknown, message: RegExp]>

const unknown = (name: string, known: string): RegExp =>
  new RegExp(`there is no option "${name}"\\. The options are ${known}\\.`)

/** For all three collectives that take data. */
const DATA_REFUSED: Refused = {
  nothing: [undefined, {}, /data must be a typed array; got undefined/],
  null: [null, {}, /data must be a typed array; got null/],
  'a plain array': [[1, 2], {}, /data must be a typed array; got a plain array/],
  'a string': ['abc', {}, /data must be a typed array; got a string/],
  'no elements': [new Float32Array(0), {}, /empty: 0 elements/],
  'shared memory': [shared, {}, /data is a view of a SharedArrayBuffer/],
  'resizable memory': [resizable, {}, /data is a view of a resizable/],
  'detached memory': [detached(), {}, /data is detached/],
  'a timeout of 0': [DATA, { timeoutMs: 0 }, /timeoutMs is 0; it must be from 1/],
  'a negative timeout': [DATA, { timeoutMs: -5 }, /timeoutMs is -5/],
  'an endless timeout': [DATA, { timeoutMs: Infinity }, /timeoutMs is Infinity/],
  'a timeout that is NaN': [DATA, { timeoutMs: NaN }, /timeoutMs is NaN/],
  'a timeout as a string': [DATA, { timeoutMs: '500' }, /timeoutMs is 500/],
  'a signal that is none': [DATA, { signal: {} }, /signal must be an AbortSignal/],
  'null for the signal': [DATA, { signal: null }, /signal must be an AbortSignal/],
  'a controller for the signal': [DATA, { signal: new AbortController() }, /signal must be an AbortSignal/],
}

const NAMED_REFUSED: Refused = {
  'no arrays': [{}, {}, /data has 0 arrays/],
  'a number among them': [{ a: DATA, b: 1 }, {}, /data\.b must be a typed array; got a number/],
  'two dtypes': [{ a: DATA, b: new Float64Array(1) }, {}, /mixes dtypes/],
  'one array twice': [{ a: DATA, b: DATA }, {}, /data\.a and data\.b overlap/],
  'a detached one': [{ a: DATA, b: detached() }, {}, /data\.b is detached/],
}

const REDUCE_REFUSED: Refused = {
  'integers by adasum': [Int32Array.of(1), {}, /op is adasum, and the data is i32; .* sum, min, max\. .*Float32Array/],
  'integers by average': [BigInt64Array.of(1n), { op: 'average' }, /op is average, and the data is i64/],
  'named integers': [{ a: Uint8Array.of(1) }, {}, /the data is u8; integers are combined by one of/],
  'small integers': [
    Int8Array.of(1),
    { op: 'sum' },
    /the data is i8, which cannot be reduced\. .* By sum, min, max also u8, i32, u32, i64 and u64/,
  ],
  'clamped integers': [Uint8ClampedArray.of(1), { op: 'max' }, /the data is u8c, which cannot be reduced/],
  'u16 by max': [HALF, { op: 'max' }, /the data is u16, which cannot be reduced/],
  'another dtype for integers': [Int32Array.of(1), { op: 'sum', dtype: 'f16' }, /dtype is f16, and the data is i32/],
  'out of floats for integers': [
    Int32Array.of(1),
    { op: 'sum', out: new Float32Array(1) },
    /out is f32\[1\], the data is i32\[1\]/,
  ],
  'an unknown policy for integers': [Int32Array.of(1), { op: 'sum', onNonFinite: 'drop' }, /onNonFinite is drop/],
  'halves without a dtype': [HALF, {}, /the data is u16, which cannot be reduced\. .*dtype: 'f16' or 'bf16'/],
  'named halves without a dtype': [{ a: HALF }, {}, /the data is u16, which cannot be reduced/],
  'an unknown dtype': [HALF, { dtype: 'fp16' }, /dtype is fp16, and the data is u16\. .*'f16' or 'bf16'/],
  'null for the dtype': [HALF, { dtype: null }, /dtype is null, and the data is u16/],
  'a half dtype for f32': [DATA, { dtype: 'bf16' }, /dtype is bf16, and the data is f32/],
  'f32 among named halves': [{ a: HALF, b: DATA }, { dtype: 'f16' }, /mixes dtypes: a is u16, b is f32/],
  'out of f64 for halves': [
    HALF,
    { dtype: 'f16', out: new Float64Array(4) },
    /out is f64\[4\], the data is f16\[4\]\. .*for f16 and bf16, f32/,
  ],
  'out of halves for f32': [DATA, { out: new Uint16Array(4) }, /out is u16\[4\], the data is f32\[4\]/],
  'out of halves, of another length': [
    HALF,
    { dtype: 'bf16', out: new Uint16Array(3) },
    /out is bf16\[3\], the data is bf16\[4\]/,
  ],
  'out of f32, of another length': [
    HALF,
    { dtype: 'bf16', out: new Float32Array(3) },
    /out is f32\[3\], the data is bf16\[4\]/,
  ],
  'out of f32 over the halves': [HALF, { dtype: 'f16', out: new Float32Array(HALF.buffer) }, /data and out overlap/],
  'out of both dtypes': [
    { a: HALF, b: new Uint16Array(1) },
    { dtype: 'f16', out: { a: new Float32Array(4), b: new Uint16Array(1) } },
    /out mixes dtypes: a is f32, b is u16/,
  ],
  'out of f32 with other names': [
    { a: HALF },
    { dtype: 'f16', out: { b: new Float32Array(4) } },
    /out has the arrays \[\["b",4\]\]/,
  ],
  'no op': [DATA, { op: undefined }, /op is undefined; it must be one of sum, average, adasum, min, max/],
  'an unknown op': [DATA, { op: 'product' }, /op is product/],
  'an op of the prototype': [DATA, { op: 'toString' }, /op is toString/],
  'an unknown policy': [DATA, { onNonFinite: 'drop' }, /onNonFinite is drop/],
  'segments that do not add up': [DATA, { segments: [1, 2] }, /add up to 3 elements, the data has 4/],
  'negative segments': [DATA, { segments: [-1, 5] }, /segments\[0\] is -1/],
  'segments of named arrays': [{ a: DATA }, { segments: [4] }, /one segment a name: leave out `segments`/],
  'out that is the data': [DATA, { out: DATA }, /data and out overlap/],
  'out that overlaps the data': [DATA.subarray(0, 3), { out: DATA.subarray(1) }, /data and out overlap/],
  'out of another length': [DATA, { out: new Float32Array(3) }, /out is f32\[3\], the data is f32\[4\]/],
  'out of another dtype': [DATA, { out: new Float64Array(4) }, /out is f64\[4\], the data is f32\[4\]/],
  'out without names': [
    { a: DATA },
    { out: new Float32Array(4) },
    /out has the arrays \(one\), the data \[\["a",4\]\]/,
  ],
  'out with names': [DATA, { out: { a: new Float32Array(4) } }, /out has the arrays \[\["a",4\]\], the data \(one\)/],
  'out with other names': [{ a: DATA }, { out: { b: new Float32Array(4) } }, /out has the arrays \[\["b",4\]\]/],
  'null for out': [DATA, { out: null }, /out must be a typed array; got null/],
  'a detached out': [DATA, { out: detached() }, /out is detached/],
  'a misspelt option': [
    DATA,
    { segment: [1, 3] },
    unknown(
      'segment',
      'op, out, dtype, segments, onNonFinite, coefficients, gram, algorithm, bucketBytes, hierarchy, weight, compressor, timeoutMs, signal',
    ),
  ],
  'an option of another call': [DATA, { root: 0 }, /no option "root"/],
}

const BROADCAST_REFUSED: Refused = {
  'a root beyond the ranks': [DATA, { root: 2 }, /root is 2; the ranks are 0 to 1/],
  'a negative root': [DATA, { root: -1 }, /root is -1/],
  'half a root': [DATA, { root: 0.5 }, /root is 0\.5/],
  'a root as a string': [DATA, { root: '0' }, /root is 0/],
  'null for the root': [DATA, { root: null }, /root is null/],
  'a misspelt option': [DATA, { rank: 1 }, unknown('rank', 'root, timeoutMs, signal')],
}

const GATHER_REFUSED: Refused = {
  'named arrays': [{ a: DATA }, {}, /data must be a typed array; got an object/],
  'a misspelt option': [DATA, { timeout: 1000 }, unknown('timeout', 'uneven, timeoutMs, signal')],
}

type Call = (comm: Communicator, data: never, options: object) => Promise<unknown>
const allReduce: Call = (comm, data, options) => comm.allReduce(data, { op: 'adasum', ...options })
const broadcast: Call = (comm, data, options) => comm.broadcast(data, options)
const allGather: Call = (comm, data, options) => comm.allGather(data, options)

const CALLS: Record<string, [Call, Refused]> = {
  allReduce: [allReduce, { ...DATA_REFUSED, ...NAMED_REFUSED, ...REDUCE_REFUSED }],
  broadcast: [broadcast, { ...DATA_REFUSED, ...NAMED_REFUSED, ...BROADCAST_REFUSED }],
  allGather: [allGather, { ...DATA_REFUSED, ...GATHER_REFUSED }],
}

for (const [name, [call, refused]] of Object.entries(CALLS)) {
  test(`${name}: bad input fails that call alone, with ERR_ARGUMENT, before anything is sent`, async (t) => {
    const world = await makeWorld(2, { transport: createMemoryTransport() })
    const before = bitsOf(DATA)
    for (const [what, [data, options, message]] of Object.entries(refused)) {
      const expected = { instanceOf: AdasumError, code: 'ERR_ARGUMENT', message }
      // On one rank only: the other knows nothing of it.
      await t.throwsAsync(call(world.ranks[0]!, data as never, options as object), expected, what)
    }
    t.is(bitsOf(DATA), before)
    const [a] = await onAll(world.ranks, (comm) => comm.allReduce(Float32Array.of(comm.rank + 1), { op: 'sum' }))
    t.is(a!.result[0], 3)
    t.deepEqual(
      world.groups.map((group) => group.lastCompleted),
      [1, 1],
    )
    await world.close()
  })
}

test('options that are no object are refused everywhere', async (t) => {
  const { ranks, close } = await makeWorld(1)
  const [comm] = ranks as [Communicator]
  const expected = { instanceOf: AdasumError, code: 'ERR_ARGUMENT', message: /options must be an object; got/ }
  for (const options of [null, 3, 'adasum', []] as never[]) {
    await t.throwsAsync(comm.allReduce(DATA, options), expected)
    await t.throwsAsync(comm.broadcast(DATA, options), expected)
    await t.throwsAsync(comm.allGather(DATA, options), expected)
    await t.throwsAsync(comm.barrier(options), expected)
  }
  await t.throwsAsync(comm.allReduce(DATA, undefined as never), expected)
  await t.throwsAsync(comm.barrier({ timeoutMs: NaN }), { code: 'ERR_ARGUMENT' })
  await t.throwsAsync(comm.barrier({ signal: {} as AbortSignal }), { code: 'ERR_ARGUMENT' })
  const misspelt = { instanceOf: AdasumError, code: 'ERR_ARGUMENT', message: unknown('timeout', 'timeoutMs, signal') }
  await t.throwsAsync(comm.barrier({ timeout: 1 } as object), misspelt)
  await t.notThrowsAsync(comm.barrier({}))
  await t.notThrowsAsync(comm.barrier({ timeout: undefined } as object))
  await close()
})

test('shard gives every rank as many items, in rank order, and drops the rest', async (t) => {
  for (const size of [1, 2, 3, 7]) {
    const { ranks, close } = await makeWorld(size)
    for (const count of [size, size + 1, 100, 60_000]) {
      const shards = ranks.map((comm) => comm.shard(count))
      const share = Math.floor(count / size)
      t.deepEqual(
        shards,
        ranks.map((_, rank) => ({ begin: rank * share, end: (rank + 1) * share })),
      )
    }
    for (const count of [size - 1, -1, 2.5, NaN, Infinity, '100', undefined, 2 ** 53])
      t.throws(() => ranks[0]!.shard(count as number), { instanceOf: AdasumError, code: 'ERR_ARGUMENT' }, String(count))
    await close()
  }
})

test('a world of one: every collective gives what the data says', async (t) => {
  const { ranks, close } = await makeWorld(1)
  const [comm] = ranks as [Communicator]
  for (const op of ['sum', 'average', 'adasum', 'min', 'max'] as const) {
    const { result, bytesSent } = await comm.allReduce(DATA, { op, out: new Float32Array(4) })
    t.deepEqual([...result], [1, 2, 3, 4])
    t.is(bytesSent, 0)
    const named = { a: DATA.slice(), b: DATA.slice() }
    t.true((await comm.allReduce(named, { op })).result === named)
    t.deepEqual([...named.b], [1, 2, 3, 4])
  }
  t.is(await comm.broadcast(DATA), DATA)
  t.deepEqual([...(await comm.allGather(DATA))], [1, 2, 3, 4])
  await comm.barrier()
  await close()
  await t.throwsAsync(comm.barrier(), { code: 'ERR_CLOSED' })
})

// ---- the end

test('close waits for the calls that are under way, refuses new ones, and may be called again', async (t) => {
  const transport = createMemoryTransport({ seed: 1, maxChunkByteLength: 100_000 })
  const world = await makeWorld(3, { transport })
  const data = world.ranks.map(() => new Float32Array(1_000_000).fill(1))
  await onAll(world.ranks, async (comm, rank) => {
    const ended: string[] = []
    const call = comm.allReduce(data[rank]!, { op: 'sum' }).then(() => ended.push('call'))
    const [first, second] = [comm.close().then(() => ended.push('close')), comm.close()]
    await t.throwsAsync(comm.barrier(), { instanceOf: AdasumError, code: 'ERR_CLOSED' })
    await Promise.all([call, first, second])
    t.deepEqual(ended, ['call', 'close'])
  })
  t.true(data.every((array) => array.every((x) => x === 3)))
  t.is(transport.pipes.size, 0)
})

test('await using closes', async (t) => {
  const world = await makeWorld(2)
  await onAll(world.ranks, async (comm) => {
    await using own = comm
    await own.barrier()
  })
  for (const error of (await failuresOf(world.ranks.map((comm) => comm.barrier()))) as AdasumError[])
    t.is(error.code, 'ERR_CLOSED')
})

test('what a call was given counts, not what becomes of the options and lists afterwards', async (t) => {
  const world = await makeWorld(2, { transport: createMemoryTransport({ seed: 2, maxChunkByteLength: 50_000 }) })
  await onAll(world.ranks, async (comm) => {
    const out = { a: new Float32Array(200_000), b: new Float32Array(3) }
    const data = { a: new Float32Array(200_000).fill(1), b: new Float32Array(3).fill(2) }
    const options: AllReduceOptions<Record<string, Float32Array>> = { op: 'sum', out }
    const arrays = { ...out }
    const call = comm.allReduce<Record<string, Float32Array>>(data, options)
    options.out = {}
    options.op = 'average'
    Object.assign(data, { a: new Float32Array(1), c: new Float32Array(1) })
    out.b = new Float32Array(1)
    t.true((await call).result === out)
    t.true(arrays.a.every((x) => x === 2) && arrays.b.every((x) => x === 4))
  })
  await world.close()
})
