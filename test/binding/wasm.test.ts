/** What is WebAssembly's own: arrays on their way into its memory and back, memory that grows, and modules that fail. */
import test from 'ava'
import { ABI } from '../../ts/src/binding/binding.ts'
import { loadBinding } from '../../ts/src/binding/native.ts'
import { loadCode, loadWasm } from '../../ts/src/binding/node-wasm.ts'
import { WasmArguments } from '../../ts/src/binding/wasm-arguments.ts'
import { type Glue, instantiate, instantiateSync, wasmBinding } from '../../ts/src/binding/wasm.ts'
import { AdasumError } from '../../ts/src/errors.ts'
import { fc, runsOf } from '../_property.ts'
import { familyOf } from '../reduction/_oracle.ts'
import { bitsOf, bytesOf, doubles, ones, reduce, reduceArguments, wholePieces } from './_calls.ts'

const code = loadCode('simd')

/** Memory that only remembers: addresses begin at 1,000. */
function room(byteLength = 1 << 16): { reserve: (byteLength: number) => number; memory: { buffer: ArrayBuffer } } {
  return { reserve: () => 1008, memory: { buffer: new ArrayBuffer(byteLength) } }
}

const pairAt = (memory: ArrayBuffer, address: number): number[] => [...new Uint32Array(memory, address, 2)]

test('the binding is loaded once, and takes the faster build', (t) => {
  t.is(loadWasm(), loadWasm())
  t.is(loadWasm().isa(), 'simd128')
})

test('each array keeps its alignment, arrays that overlap their places to each other', (t) => {
  const buffer = new ArrayBuffer(100)
  const [first, second, third] = [[1, 20] as const, [11, 20] as const, [64, 8] as const].map(
    ([begin, length]) => new Uint8Array(buffer, begin, length),
  )
  bytesOf(new Uint8Array(buffer)).forEach((_, i, all) => (all[i] = i))
  const place = room()
  const values = new WasmArguments(['bytes', 'list', 'number'], [first, [second, third, first], 7]).copyInto(place)
  const memory = place.memory.buffer
  t.is(values[2], 7)
  const [address, byteLength] = pairAt(memory, values[0]!)
  t.deepEqual([address! % 16, byteLength], [1, 20])
  const [pairs, count] = pairAt(memory, values[1]!)
  t.is(count, 3)
  const places = [0, 8, 16].map((offset) => pairAt(memory, pairs! + offset))
  t.deepEqual(places[0], [address! + 10, 20])
  t.is(places[1]![0]! % 16, 0)
  t.deepEqual(places[2], [address, 20])
  t.deepEqual([...new Uint8Array(memory, address, 30)], [...new Uint8Array(buffer, 1, 30)])
  t.deepEqual([...new Uint8Array(memory, places[1]![0], 8)], [...third!])
})

test('any arrays of any buffers: what is read is there, byte for byte, and what is written comes back', (t) => {
  const range = fc.tuple(fc.integer({ min: 0, max: 1 }), fc.nat(60), fc.nat(40))
  fc.assert(
    fc.property(fc.array(range, { minLength: 1, maxLength: 8 }), range, (inputs, target) => {
      const buffers = [0, 1].map((seed) => Uint8Array.from({ length: 100 }, (_, i) => i + 100 * seed).buffer)
      const view = ([buffer, begin, length]: readonly [number, number, number]) =>
        new Uint8Array(buffers[buffer]!, begin, length)
      const [list, out] = [inputs.map(view), view(target)]
      const before = buffers.map((buffer) => buffer.slice(0))
      const place = room()
      const passed = new WasmArguments(['list', 'bytesOut'], [list, out])
      const [pairs, written] = passed.copyInto(place)
      const memory = place.memory.buffer
      const [first] = pairAt(memory, pairs!)
      list.forEach((input, i) => {
        const [address, byteLength] = pairAt(memory, first! + 8 * i)
        if (bitsOf(new Uint8Array(memory, address, byteLength)) !== bitsOf(input)) throw new Error(`input ${i}`)
      })
      const [address, byteLength] = pairAt(memory, written!)
      new Uint8Array(memory, address, byteLength).fill(255)
      passed.takeResults(place)
      before.forEach((old, i) => {
        const want = new Uint8Array(old)
        if (i === target[0]) want.fill(255, target[1], target[1] + target[2])
        if (bitsOf(want) !== bitsOf(new Uint8Array(buffers[i]!))) throw new Error(`buffer ${i}`)
      })
    }),
    { numRuns: runsOf(500) },
  )
  t.pass()
})

test('of a slice with cut pieces only the whole ones are written', (t) => {
  const out = new Uint8Array(80).fill(1)
  const place = room()
  const kinds = ['number', 'pieces', 'reducedOut'] as const
  const pieces = doubles(3, 0, 3, 9000, 2048, 10, 4, 0, 4, 3, 0, 3)
  for (const [op, want] of [
    [2, [...Array<number>(12).fill(9), ...Array<number>(40).fill(1), ...Array<number>(28).fill(9)]],
    [0, Array<number>(80).fill(9)],
  ] as const) {
    const passed = new WasmArguments(kinds, [op, pieces, out])
    const [, , address] = passed.copyInto(place)
    const memory = place.memory.buffer
    new Uint8Array(memory, pairAt(memory, address!)[0], 80).fill(9)
    passed.takeResults(place)
    t.deepEqual([...out], want)
  }
})

test('memory that has no room: ERR_ARGUMENT with both sizes, and nothing is poisoned', (t) => {
  const passed = new WasmArguments(['bytes'], [new Uint8Array(8)])
  const error = t.throws(() => passed.copyInto({ ...room(), reserve: () => 0 }), { code: 'ERR_ARGUMENT' })
  t.regex(error?.message ?? '', /24 bytes.*4294967296/)
})

test('arrays in the module’s own memory are used where they are', (t) => {
  const binding = wasmBinding(code)
  const length = 3000
  const inputs = familyOf('independent', (n) => new Float32Array(n), { count: 3, length, seed: 1 })
  const want = reduce(binding, 'adasum', inputs)
  const memory = binding.allocate!(16 * length)
  t.deepEqual([memory.length, memory.byteOffset % 16], [16 * length, 0])
  t.true(memory.every((byte) => byte === 0))
  const arrayAt = (i: number) => new Float32Array(memory.buffer, memory.byteOffset + 4 * length * i, length)
  const own = inputs.map((input, i) => {
    arrayAt(i).set(input)
    return arrayAt(i)
  })
  const [out, stats] = [arrayAt(3), new Float64Array(5)]
  binding.reduce(2, 0, 0, own.map(bytesOf), ones(3), wholePieces(length), bytesOf(out), doubles(), stats)
  t.is(bitsOf(out), bitsOf(want.out))
  t.deepEqual(stats, want.stats)
  own.forEach((array, i) => t.is(bitsOf(array), bitsOf(inputs[i]!)))
  // Both kinds in one call, in place.
  binding.combine(0, 0, [own[0]!, inputs[1]!].map(bytesOf), doubles(length), doubles(1, 2), bytesOf(own[0]!))
  const apart = new Float32Array(length)
  binding.combine(0, 0, [inputs[0]!, inputs[1]!].map(bytesOf), doubles(length), doubles(1, 2), bytesOf(apart))
  t.is(bitsOf(own[0]!), bitsOf(apart))
  // An ordinary call has its room already; another allocation takes the views away, and they are refused.
  reduce(
    binding,
    'adasum',
    familyOf('independent', (n) => new Float32Array(n), { count: 2, length: 500_000, seed: 1 }),
  )
  t.is(own[0]!.length, length)
  binding.allocate!(1)
  t.throws(() => binding.hasNonFinite(0, bytesOf(own[0]!), doubles(length)), { instanceOf: Error })
  t.throws(() => binding.allocate!(2 ** 33), { code: 'ERR_ARGUMENT', message: /8589934592 bytes/ })
})

test('allocateArrays: zeroed arrays, apart, of any kind that can be reduced', async (t) => {
  // Read when the binding is first used, which nothing else in this file does.
  process.env.ADASUM_BINDING = 'wasm'
  const { allocateArrays } = await import('../../ts/src/reduction/allocate.ts')
  for (const type of [Float32Array, Float64Array, Uint16Array] as const) {
    const arrays = await allocateArrays(type as typeof Float32Array, 3, 4)
    t.deepEqual(
      arrays.map((array) => [...array]),
      Array.from({ length: 4 }, () => [0, 0, 0]),
    )
    t.is(new Set(arrays.map(({ buffer }) => buffer)).size, 1)
    arrays.forEach((array, i) => array.fill(i))
    t.true(arrays.every((array, i) => array instanceof type && array.every((x) => x === i)))
  }
  await t.throwsAsync(allocateArrays(Int8Array as never, 1, 1), { code: 'ERR_ARGUMENT' })
  await t.throwsAsync(allocateArrays(Float32Array, 1.5, 1), { code: 'ERR_ARGUMENT', message: /elementCount is 1.5/ })
  await t.throwsAsync(allocateArrays(Float32Array, 1, -1), { code: 'ERR_ARGUMENT', message: /count is -1/ })
})

test('memory grows during and between calls, and results come back all the same', (t) => {
  const binding = wasmBinding(code)
  for (const [count, length] of [
    [2, 10],
    [3, 400_000],
    [600, 5],
    [2, 1_000_000],
    [5, 20],
  ] as const) {
    const inputs = familyOf('near parallel', (n) => new Float32Array(n), { count, length, seed: count })
    const [found, want] = [reduce(binding, 'adasum', inputs), reduce(loadBinding(), 'adasum', inputs)]
    t.is(bitsOf(found.out), bitsOf(want.out), `${count} of ${length}`)
    t.is(bitsOf(found.stats), bitsOf(want.stats), `${count} of ${length}`)
  }
})

test('a module that traps is replaced: ERR_BINDING once, then the right bits', async (t) => {
  const memories: { buffer: ArrayBuffer }[] = []
  const createGlue = (): Glue => {
    const glue = code.createGlue()
    const { initSync: start } = glue
    const initSync: Glue['initSync'] = (of) => {
      const exports = start(of)
      memories.push(exports.memory)
      return exports
    }
    return Object.assign(glue, { initSync })
  }
  const binding = wasmBinding({ module: code.module, createGlue })
  const inputs = familyOf('independent', (n) => new Float32Array(n), { count: 2, length: 5000, seed: 1 })
  const want = reduce(binding, 'adasum', inputs)
  t.is(memories.length, 1)
  // Stack, tables and allocator: nothing in there makes sense any more.
  new Uint8Array(memories[0]!.buffer).fill(0xff)
  const before = inputs.map(bitsOf)
  const { args, results } = reduceArguments(loadBinding(), 'adasum', inputs)
  const error = t.throws(() => binding.reduce(...args), { instanceOf: AdasumError, code: 'ERR_BINDING' })
  t.regex(error?.message ?? '', /has failed \(.+\); the next call begins with a fresh one/)
  t.true(results.out.every((x) => x === -77))
  t.deepEqual(inputs.map(bitsOf), before)
  t.is(bitsOf(reduce(binding, 'adasum', inputs).out), bitsOf(want.out))
  t.is(memories.length, 2)
  await t.notThrowsAsync(binding.reduceAsync(...args))
  t.is(bitsOf(results.out), bitsOf(want.out))
})

test('asynchronous forms let the event loop turn before they run', async (t) => {
  const binding = loadWasm()
  const [input, out] = [Float32Array.of(1, 2), new Float32Array(2)]
  const call = binding.combineAsync(0, 0, [bytesOf(input)], doubles(2), doubles(3), bytesOf(out))
  await Promise.resolve()
  t.deepEqual([...out], [0, 0])
  let hasTurned = false
  setImmediate(() => (hasTurned = true))
  await call
  t.deepEqual([...out], [3, 6])
  const other = binding.combineAsync(0, 0, [bytesOf(input)], doubles(2), doubles(3), bytesOf(out))
  await other
  t.true(hasTurned)
})

test('an instance that was started asynchronously is as good', async (t) => {
  const binding = wasmBinding(code, await instantiate(code))
  t.is(binding.nodeCount(doubles(14_000, 2048, 5 * 2048)), 3)
})

test('a stale module is refused in one sentence that says what to do', (t) => {
  const instance = instantiateSync(code)
  for (const found of [ABI - 1, ABI + 1]) {
    const glue = new Proxy(instance.glue, {
      get: (target, name) => (name === 'abi' ? () => found : (Reflect.get(target, name) as unknown)),
    })
    const error = t.throws(() => wasmBinding(code, { ...instance, glue }), { code: 'ERR_BINDING' })
    t.regex(error?.message ?? '', new RegExp(`version ${found}, this package needs ${ABI}.*npm run build:wasm`))
  }
})
