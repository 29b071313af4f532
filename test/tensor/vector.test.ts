import test from 'ava'
import { Vector } from '../../ts/src/tensor/vector.ts'
import { fc } from '../_property.ts'

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
        const found = vector.between(begin, end)
        const ranges = [begin, ...[...vector.breaks].filter((at) => at > begin && at < end), end]
        t.is(vector.byteLength, all.length)
        t.deepEqual(bytesIn(found), all.slice(begin, end))
        t.deepEqual(bytesIn(vector.slice(begin, end).parts), all.slice(begin, end))
        for (let i = 1; i < ranges.length; i++)
          t.deepEqual([...vector.range(ranges[i - 1]!, ranges[i]!)], all.slice(ranges[i - 1], ranges[i]))
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
  t.deepEqual(bytesIn(empty.between(0, 0)), [])
  t.is(empty.range(0, 0).length, 0)
  t.is(empty.breaks.length, 0)
})
