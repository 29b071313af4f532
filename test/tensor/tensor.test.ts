/** Layouts, whose hashes tell models apart, vectors in several parts, and scratch memory. */
import test from 'ava'
import { dtypeOf, newArrayLike } from '../../ts/src/tensor/dtype.ts'
import { layoutHash } from '../../ts/src/tensor/layout-hash.ts'
import { type Layout, layoutOfArray, layoutOfNamedArrays } from '../../ts/src/tensor/layout.ts'
import { ScratchPool } from '../../ts/src/tensor/scratch.ts'
import { Vector } from '../../ts/src/tensor/vector.ts'
import type { NamedArrays, NumericArray } from '../../ts/src/types.ts'
import { fc, runsOf } from '../_property.ts'

const F32 = dtypeOf(new Float32Array(1))!
const hashOf = (layout: Layout): string => Buffer.from(layoutHash(layout)).toString('hex')
const named = (table: [string, number][]): NamedArrays => {
  const arrays = table.map(([name, length]): [string, Float32Array] => [name, new Float32Array(length)])
  return Object.fromEntries(arrays)
}

test('two layouts have one hash if and only if they have the same segments and names', (t) => {
  const counts = fc.array(fc.nat(3), { minLength: 1, maxLength: 4 }).filter((list) => list.some((count) => count > 0))
  const total = (list: number[]): number => list.reduce((a, b) => a + b)
  const layoutOf = (list: number[], names: string | undefined): Layout => {
    if (names === undefined) return layoutOfArray(F32, total(list), list)
    return layoutOfNamedArrays(named(list.map((count, i) => [`${names}${i}`, count])), 'data')
  }
  const names = fc.constantFrom(undefined, 'a', 'b')
  fc.assert(
    fc.property(counts, names, counts, names, (a, aNames, b, bNames) => {
      const [first, second] = [layoutOf(a, aNames), layoutOf(b, bNames)]
      // The element count says all there is of a single unnamed segment.
      const same = (aNames === bNames && a.join() === b.join()) || (!aNames && !bNames && a.length + b.length === 2)
      return (hashOf(first) === hashOf(second)) === same
    }),
    { numRuns: runsOf(2000) },
  )
  t.not(
    hashOf(layoutOf([1, 1], 'a')),
    hashOf(
      layoutOfNamedArrays(
        named([
          ['a1', 1],
          ['a0', 1],
        ]),
        'data',
      ),
    ),
  )
  t.is(hashOf(layoutOfArray(F32, 4)), '0000000000000000')
  t.not(hashOf(layoutOfNamedArrays(named([['a', 4]]), 'data')), '0000000000000000')
})

test('a count of -0 is one of 0: no hash tells them apart', (t) => {
  t.is(hashOf(layoutOfArray(F32, 3, [-0, 3])), hashOf(layoutOfArray(F32, 3, [0, 3])))
})

test('segments of named arrays come in insertion order, empty ones included', (t) => {
  const { names, segmentBegins, elementCount } = layoutOfNamedArrays(
    named([
      ['w', 3],
      ['', 0],
      ['b', 2],
    ]),
    'data',
  )
  t.deepEqual(names, ['w', '', 'b'])
  t.deepEqual([...segmentBegins], [0, 3, 3, 5])
  t.is(elementCount, 5)
})

test('named arrays that do not belong together are refused', (t) => {
  const array = new Float32Array(8)
  const refused: Record<string, [unknown, RegExp]> = {
    'no arrays': [{}, /data has 0 arrays/],
    'empty arrays': [{ a: new Float32Array(0) }, /empty: 0 elements/],
    'a number among them': [{ a: array, b: 3 }, /data\.b must be a typed array; got a number/],
    'two dtypes': [{ a: array, b: new Float64Array(1) }, /mixes dtypes: a is f32, b is f64/],
    'one array twice': [{ a: array, b: array }, /data\.a and data\.b overlap/],
    'arrays that overlap': [{ a: array.subarray(0, 5), b: array.subarray(4) }, /data\.a and data\.b overlap/],
  }
  for (const [what, [arrays, message]] of Object.entries(refused)) {
    const layout = (): Layout => layoutOfNamedArrays(arrays as NamedArrays<NumericArray>, 'data')
    t.throws(layout, { code: 'ERR_ARGUMENT', message }, what)
  }
  t.notThrows(() => layoutOfNamedArrays({ a: array.subarray(0, 4), b: array.subarray(4) }, 'data'))
})

test('every typed array has a dtype, and a new one like it is empty and of this kind', (t) => {
  const arrays = [
    ...[Float32Array, Float64Array, Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array],
    ...[Int32Array, Uint32Array, BigInt64Array, BigUint64Array],
  ].map((type) => new type(2))
  const dtypes = arrays.map((array) => dtypeOf(array)!)
  t.is(new Set(dtypes.map(({ code }) => code)).size, arrays.length)
  arrays.forEach((array, i) => {
    t.is(dtypes[i]!.byteLength, array.BYTES_PER_ELEMENT)
    t.is(newArrayLike(array, 5).length, 5)
    t.is(newArrayLike(array, 5).constructor, array.constructor)
  })
  for (const value of [undefined, null, 3, [], {}, new ArrayBuffer(8), new DataView(new ArrayBuffer(8))])
    t.is(dtypeOf(value), undefined)
})

// ---- scratch memory

const steps = fc.array(fc.oneof(fc.record({ acquire: fc.nat(40_000) }), fc.record({ release: fc.nat() })), {
  maxLength: 100,
})

test('scratch memory is never in two hands at once, and is aligned for every dtype', (t) => {
  fc.assert(
    fc.property(steps, (list) => {
      const [pool, held] = [new ScratchPool(), [] as Uint8Array[]]
      for (const step of list) {
        if ('acquire' in step) {
          const bytes = pool.acquire(step.acquire)
          if (bytes.length !== step.acquire || bytes.byteOffset % 8 !== 0) return false
          held.push(bytes)
        } else if (held.length > 0) pool.release(held.splice(step.release % held.length, 1)[0]!)
      }
      return new Set(held.map(({ buffer }) => buffer)).size === held.length
    }),
  )
  t.pass()
})

test('scratch memory comes back for lengths that differ a little', (t) => {
  const pool = new ScratchPool()
  const seen = new Set<ArrayBufferLike>()
  for (let i = 0; i < 500; i++) {
    const lists = [5_000_000 + i, 40 + i, 1_000_000 - i].map((byteLength) => pool.acquire(byteLength))
    for (const bytes of lists) seen.add(bytes.buffer)
    for (const bytes of lists) pool.release(bytes)
  }
  // Three lengths, of which each may cross from one class to the next.
  t.true(seen.size <= 6, `${seen.size} buffers`)
})

test('memory given back twice is found out', (t) => {
  const pool = new ScratchPool()
  const bytes = pool.acquire(10)
  pool.release(bytes)
  t.throws(() => pool.release(bytes), { message: /twice/ })
})

// ---- vectors

const bytesIn = (parts: readonly Uint8Array[]): number[] => parts.flatMap((part) => [...part])

test('between gives the bytes asked for, where they lie; slice and range the same', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 6 }),
      fc.nat(),
      fc.nat(),
      (parts, a, b) => {
        const vector = new Vector(parts)
        const all = bytesIn(parts)
        const [begin, end] = [a % (all.length + 1), b % (all.length + 1)].sort((x, y) => x - y) as [number, number]
        const found = vector.partsBetween(begin, end)
        const ranges = [begin, ...[...vector.breaks].filter((at) => at > begin && at < end), end]
        t.is(vector.byteLength, all.length)
        t.deepEqual(bytesIn(found), all.slice(begin, end))
        t.deepEqual(bytesIn(vector.subvector(begin, end).parts), all.slice(begin, end))
        for (let i = 1; i < ranges.length; i++)
          t.deepEqual([...vector.contiguous(ranges[i - 1]!, ranges[i]!)], all.slice(ranges[i - 1], ranges[i]))
        t.true(found.every(({ buffer }) => parts.some((part) => part.buffer === buffer)))
      },
    ),
  )
})

test('set copies between vectors that are cut differently', (t) => {
  const from = new Vector([Uint8Array.of(1, 2, 3), Uint8Array.of(4), Uint8Array.of(5, 6)])
  const to = new Vector([new Uint8Array(1), new Uint8Array(5)])
  to.set(from)
  t.deepEqual(bytesIn(to.parts), [1, 2, 3, 4, 5, 6])
  to.set(to)
  t.deepEqual(bytesIn(to.parts), [1, 2, 3, 4, 5, 6])
})

test('an empty vector', (t) => {
  const empty = new Vector([])
  t.is(empty.byteLength, 0)
  t.deepEqual(bytesIn(empty.partsBetween(0, 0)), [])
  t.is(empty.contiguous(0, 0).length, 0)
  t.is(empty.breaks.length, 0)
})
