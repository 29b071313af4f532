/** What the local functions refuse: by code, with the numbers, and without touching a buffer. */
import { runInNewContext } from 'node:vm'
import test from 'ava'
import { AdasumError, type ErrorCode } from '../../ts/src/errors.ts'
import { adasum, adasumSync, average, averageSync, sum, sumSync } from '../../ts/src/reduction/local.ts'
import { bitsOf } from '../_world.ts'

const f32 = (...values: number[]): Float32Array => Float32Array.from(values)
const A = f32(1, 2, 3, 4)
const B = f32(5, 6, 7, 8)
// Room for an f32 result over them.
const HALF = new Uint16Array(new ArrayBuffer(16), 0, 4)

function detached(): Float32Array {
  const array = f32(1, 2, 3, 4)
  structuredClone(array.buffer, { transfer: [array.buffer as ArrayBuffer] })
  return array
}

function sparse(): Float32Array[] {
  const list = new Array<Float32Array>(3)
  list[0] = A
  list[2] = B
  return list
}

const growable = (length: number, array: typeof Float32Array): unknown =>
  new array(Reflect.construct(ArrayBuffer, [16, { maxByteLength: 32 }]) as ArrayBuffer, 0, length)

/** Arguments, as JavaScript may give them, and what the message must say. */
const REFUSED: Record<string, [inputs: unknown, options: unknown, says: RegExp, code?: ErrorCode]> = {
  'no list': [undefined, {}, /inputs must be a list/],
  'one array instead of a list': [A, {}, /inputs must be a list/],
  'an iterable': [new Set([A, B]), {}, /inputs must be a list/],
  'an empty list': [[], {}, /inputs must be a list of at least one/],
  'a list with a hole': [sparse(), {}, /inputs\[1\] must be a typed array; got undefined/],
  'plain arrays': [
    [
      [1, 2],
      [3, 4],
    ],
    {},
    /inputs\[0\] must be a typed array; got a plain array/,
  ],
  null: [[A, null], {}, /inputs\[1\] must be a typed array; got null/],
  'an object': [[A, { length: 4 }], {}, /inputs\[1\] must be a typed array; got an object of type Object/],
  'an object without a prototype': [[Object.create(null)], {}, /inputs\[0\] must be a typed array; got an object/],
  'a number': [[1, 2], {}, /got a number/],
  'a DataView': [[new DataView(new ArrayBuffer(16))], {}, /inputs\[0\] must be a typed array; got .*DataView/],
  'an ArrayBuffer': [[new ArrayBuffer(16)], {}, /got .*ArrayBuffer/],
  'a proxy of a typed array': [[new Proxy(A, {})], {}, /must be a typed array/],
  'an impostor': [[{ __proto__: Float32Array.prototype }], {}, /must be a typed array/],
  integers: [
    [Int32Array.of(1, 2, 3, 4)],
    {},
    /inputs\[0\] is i32, which cannot be reduced\. Reductions take f32, f64, and f16/,
  ],
  'a Buffer': [[Buffer.alloc(16)], {}, /inputs\[0\] is u8/],
  bigints: [[BigInt64Array.of(1n)], {}, /inputs\[0\] is i64/],
  'halves without a dtype': [
    [HALF, HALF],
    {},
    /inputs\[0\] is u16, which cannot be reduced\. .*dtype: 'f16' or 'bf16'/,
  ],
  'a dtype that is unknown': [[HALF], { dtype: 'f8' }, /dtype is f8, and inputs\[0\] is u16\. .*'f16' or 'bf16'/],
  'the dtype u16': [[HALF], { dtype: 'u16' }, /dtype is u16, and inputs\[0\] is u16/],
  'the dtype f32 for halves': [[HALF], { dtype: 'f32' }, /dtype is f32, and inputs\[0\] is u16/],
  'null for the dtype': [[HALF], { dtype: null }, /dtype is null, and inputs\[0\] is u16/],
  'a symbol for the dtype': [[HALF], { dtype: Symbol('f16') }, /dtype is Symbol\(f16\)/],
  'a half dtype for f32': [[A, B], { dtype: 'f16' }, /dtype is f16, and inputs\[0\] is f32/],
  'a half dtype for f64': [[Float64Array.of(1)], { dtype: 'bf16' }, /dtype is bf16, and inputs\[0\] is f64/],
  'a half dtype for i16': [[Int16Array.of(1)], { dtype: 'f16' }, /dtype is f16, and inputs\[0\] is i16/],
  'f32 among halves': [[HALF, A], { dtype: 'f16' }, /inputs\[1\] is f32, inputs\[0\] is u16/],
  'halves among f32': [[A, HALF], {}, /inputs\[1\] is u16, inputs\[0\] is f32/],
  'halves of another length': [
    [HALF, HALF.slice(1)],
    { dtype: 'f16' },
    /inputs\[1\] has 3 elements, inputs\[0\] has 4/,
  ],
  'out of f64 for halves': [[HALF], { dtype: 'f16', out: new Float64Array(4) }, /out is f64, inputs\[0\] is u16/],
  'out of i16 for halves': [[HALF], { dtype: 'f16', out: new Int16Array(4) }, /out is i16, inputs\[0\] is u16/],
  'out of halves for f32': [[A], { out: new Uint16Array(4) }, /out is u16, inputs\[0\] is f32/],
  'out of f32 for f64': [[Float64Array.of(1)], { out: f32(1) }, /out is f32, inputs\[0\] is f64/],
  'out of f32 and another length': [[HALF], { dtype: 'f16', out: f32(1) }, /out has 1 elements, inputs\[0\] has 4/],
  'out of f32 over the halves': [
    [HALF],
    { dtype: 'f16', out: new Float32Array(HALF.buffer, 0, 4) },
    /inputs\[0\] and out overlap/,
  ],
  'f64 among f32': [[A, Float64Array.of(1, 2, 3, 4)], {}, /inputs\[1\] is f64, inputs\[0\] is f32/],
  'f32 among f64': [[Float64Array.of(1, 2, 3, 4), A], {}, /inputs\[1\] is f32, inputs\[0\] is f64/],
  'another length': [[A, f32(1, 2, 3)], {}, /inputs\[1\] has 3 elements, inputs\[0\] has 4/],
  'no elements': [[f32(), f32()], {}, /empty: 0 elements/],
  'a detached input': [[A, detached()], {}, /inputs\[1\] is detached/],
  'a detached first input': [[detached(), A], {}, /inputs\[0\] is detached/],
  'shared memory': [
    [A, new Float32Array(new SharedArrayBuffer(16))],
    {},
    /inputs\[1\] is a view of a SharedArrayBuffer/,
  ],
  'resizable memory': [[growable(4, Float32Array)], {}, /inputs\[0\] is a view of a resizable ArrayBuffer/],
  'segments that add up to less': [[A, B], { segments: [1, 2] }, /add up to 3 elements, the data has 4/],
  'segments that add up to more': [[A, B], { segments: [3, 2] }, /add up to 5 elements, the data has 4/],
  'a negative segment': [[A, B], { segments: [5, -1] }, /segments\[1\] is -1/],
  'a segment that is NaN': [[A, B], { segments: [4, NaN] }, /segments\[1\] is NaN/],
  'half a segment': [[A, B], { segments: [1.5, 2.5] }, /segments\[0\] is 1\.5/],
  'an endless segment': [[A, B], { segments: [Infinity] }, /segments\[0\] is Infinity/],
  'a huge segment': [[A, B], { segments: [2 ** 53, 4] }, /segments\[0\] is 9007199254740992/],
  'huge segments': [[A, B], { segments: [2 ** 52, 2 ** 52] }, /add up to 9007199254740992 elements/],
  'no segments': [[A, B], { segments: [] }, /segments/],
  'a number of segments': [[A, B], { segments: 2 }, /segments/],
  'zero segments': [[A, B], { segments: 0 }, /segments/],
  'null for segments': [[A, B], { segments: null }, /segments/],
  'a string of segments': [[A, B], { segments: '4' }, /segments/],
  'segments as strings': [[A, B], { segments: ['1', '3'] }, /segments\[0\] is 1/],
  'segments as bigints': [[A, B], { segments: [1n, 3n] }, /segments\[0\] is 1/],
  'a symbol as segment': [[A, B], { segments: [Symbol('x'), 4] }, /segments\[0\] is Symbol\(x\)/],
  'segments with a hole': [
    [A, B],
    { segments: Object.assign([1, 0, 3], { 1: undefined }) },
    /segments\[1\] is undefined/,
  ],
  'segments of absurd length': [
    [A, B],
    { segments: { length: 2 ** 50 } },
    /`segments` has 1125899906842624 numbers, of which/,
  ],
  'segments of negative length': [[A, B], { segments: { length: -1 } }, /segments/],
  'out of another dtype': [[A, B], { out: new Float64Array(4) }, /out is f64, inputs\[0\] is f32/],
  'out of another length': [[A, B], { out: f32(1) }, /out has 1 elements, inputs\[0\] has 4/],
  'out that is an input': [[A, B], { out: B }, /inputs\[1\] and out overlap/],
  'out that overlaps an input': [
    [A, B.subarray(0, 4)],
    { out: new Float32Array(A.buffer) },
    /inputs\[0\] and out overlap/,
  ],
  'a detached out': [[A, B], { out: detached() }, /out is detached/],
  'out in shared memory': [[A, B], { out: new Float32Array(new SharedArrayBuffer(16)) }, /out is a view of a Shared/],
  'null for out': [[A, B], { out: null }, /out must be a typed array; got null/],
  'an unknown policy': [[A, B], { onNonFinite: 'ignore' }, /onNonFinite is ignore/],
  'null for the policy': [[A, B], { onNonFinite: null }, /onNonFinite is null/],
  'a backend that is not there': [[A, B], { backend: 'tpu' }, /backend 'tpu' is not available/, 'ERR_UNSUPPORTED'],
  'null for options': [[A, B], null, /options must be an object; got null/],
  'a string for options': [[A, B], 'out', /options must be an object; got a string/],
  'a list for options': [[A, B], [], /options must be an object; got a plain array/],
  'a misspelt option': [
    [A, B],
    { segment: [2, 2] },
    /no option "segment"\. The options are out, dtype, segments, onNonFinite, coefficients, gram, backend, weights\./,
  ],
  'an option of another call': [[A, B], { op: 'sum' }, /no option "op"/],
  'a name of the prototype': [[A, B], { toString: () => 'x' }, /no option "toString"/],
}

type Sync = (inputs: never, options: never) => unknown
type Async = (inputs: never, options: never) => Promise<unknown>

test('bad input is refused with ERR_ARGUMENT, in every form, and nothing is changed', async (t) => {
  const before = [bitsOf(A), bitsOf(B)]
  for (const [what, [inputs, options, message, code = 'ERR_ARGUMENT']] of Object.entries(REFUSED)) {
    const expected = { instanceOf: AdasumError, code, message }
    for (const call of [adasumSync, averageSync, sumSync] as unknown as Sync[])
      t.throws(() => call(inputs as never, options as never), expected, what)
    for (const call of [adasum, average, sum] as unknown as Async[])
      await t.throwsAsync(call(inputs as never, options as never), expected, what)
  }
  t.deepEqual([bitsOf(A), bitsOf(B)], before)
})

test('options that are undefined count as absent, unknown ones too', async (t) => {
  const options = { segments: undefined, segment: undefined } as object
  t.deepEqual([...adasumSync([A], options).result], [...A])
  t.deepEqual([...(await adasum([A], options)).result], [...A])
})

test('arrays that overlap partly in one buffer are told apart from neighbours', (t) => {
  const buffer = new ArrayBuffer(64)
  const at = (first: number): Float32Array => new Float32Array(buffer, first * 4, 4)
  t.notThrows(() => sumSync([at(0), at(8)], { out: at(4) }))
  for (const first of [1, 2, 3, 5, 6, 7])
    t.throws(() => sumSync([at(0), at(8)], { out: at(first) }), { code: 'ERR_ARGUMENT' })
})

test('inputs may be one array twice, or overlap each other', (t) => {
  const buffer = f32(1, 2, 3, 4, 5)
  const { result } = sumSync([buffer.subarray(0, 4), buffer.subarray(1, 5), buffer.subarray(0, 4)])
  t.deepEqual([...result], [4, 7, 10, 13])
})

class Weights extends Float32Array {}

test('subclasses, odd offsets and arrays of another realm are arrays like any other', async (t) => {
  const foreign = runInNewContext('Float32Array.of(5, 6, 7, 8)') as Float32Array
  const shifted = new Float32Array(new ArrayBuffer(28), 12)
  shifted.set(B)
  for (const other of [foreign, Weights.from(B), shifted]) {
    const want = adasumSync([A, B])
    const out = other.slice().fill(0)
    t.deepEqual(adasumSync([A, other], { out }).segments, want.segments)
    t.deepEqual([...(await adasum([A, other])).result], [...want.result])
    t.deepEqual([...out], [...want.result])
    t.deepEqual([...adasumSync([other]).result], [...B])
  }
  const list = runInNewContext('[Float64Array.of(1, 2), Float64Array.of(3, 4)]') as Float64Array[]
  t.deepEqual([...sumSync(list).result], [4, 6])
  const shared = runInNewContext('new Float32Array(new SharedArrayBuffer(16))') as Float32Array
  t.throws(() => sumSync([shared]), { code: 'ERR_ARGUMENT', message: /SharedArrayBuffer/ })
  const resizable = runInNewContext('new Float32Array(new ArrayBuffer(16, { maxByteLength: 32 }))') as Float32Array
  t.throws(() => sumSync([resizable]), { code: 'ERR_ARGUMENT', message: /resizable/ })
})

test('segments may be any list of numbers, and are read before the call returns', async (t) => {
  const want = adasumSync([A, B], { segments: [1, 0, 3] }).segments
  for (const segments of [Int32Array.of(1, 0, 3), Float64Array.of(1, -0, 3), { length: 3, 0: 1, 1: 0, 2: 3 }])
    t.deepEqual(adasumSync([A, B], { segments }).segments, want)
  const large = [new Float32Array(3_000_000).fill(1), new Float32Array(3_000_000).fill(2)]
  const segments = [1_000_000, 2_000_000]
  const pending = adasum(large, { segments })
  segments.fill(0)
  t.deepEqual(
    (await pending).segments.map(({ elementCount }) => elementCount),
    [1_000_000, 2_000_000],
  )
})
