/** Schedules as pure functions of size and layout. */
import test from 'ava'
import { BLOCK_ELEMENTS } from '../../ts/src/binding/binding.ts'
import { allReduceSchedule, broadcastSchedule } from '../../ts/src/collectives/schedule/schedule.ts'
import { equalParts, segmentsBeginningIn, sliceBegins } from '../../ts/src/collectives/schedule/slices.ts'
import { DEFAULT_TUNING } from '../../ts/src/tuning.ts'
import { fc, runsOf } from '../_property.ts'
import { anyLayout, cutsOf } from '../kernels/_layouts.ts'

const anySize = fc.integer({ min: 1, max: 64 })

test('slices are disjoint, cover the vector, and begin where a segment or a block does, next to an equal share', (t) => {
  fc.assert(
    fc.property(anyLayout, anySize, (layout, size) => {
      const begins = sliceBegins(layout, size)
      const cuts = new Set(cutsOf(layout))
      t.deepEqual([begins.length, begins[0], begins[size]], [size + 1, 0, layout.elementCount])
      for (let rank = 1; rank <= size; rank++) {
        t.true(begins[rank - 1]! <= begins[rank]!)
        t.true(cuts.has(begins[rank]!), `begin ${begins[rank]}`)
        const share = (layout.elementCount / size) * rank
        t.true(Math.abs(begins[rank]! - share) <= BLOCK_ELEMENTS / 2 + 1 + size, `${begins[rank]} for ${share}`)
      }
    }),
    { numRuns: runsOf(300) },
  )
})

test('every segment with elements begins in exactly one slice, and the slices have them in order', (t) => {
  fc.assert(
    fc.property(anyLayout, anySize, (layout, size) => {
      const begins = sliceBegins(layout, size)
      let next = 0
      for (let rank = 0; rank < size; rank++) {
        const [from, to] = segmentsBeginningIn(layout, { begin: begins[rank]!, end: begins[rank + 1]! })
        t.is(from, next)
        next = to
        for (let segment = from; segment < to; segment++) {
          const begin = layout.segmentBegins[segment]!
          t.true(begins[rank]! <= begin && begin < begins[rank + 1]!)
        }
      }
      t.true([...layout.segmentElementCounts.subarray(next)].every((count) => count === 0))
    }),
    { numRuns: runsOf(300) },
  )
})

test('parts of a broadcast are equal, aligned for every dtype, and cover the message', (t) => {
  fc.assert(
    fc.property(fc.oneof(fc.nat(1000), fc.nat(2 ** 31)), anySize, (byteLength, size) => {
      const offsets = equalParts(byteLength, size)
      t.deepEqual([offsets.length, offsets[0], offsets[size]], [size + 1, 0, byteLength])
      for (let rank = 0; rank < size; rank++) {
        const part = offsets[rank + 1]! - offsets[rank]!
        t.is(offsets[rank]! % 8, 0)
        t.true(Math.abs(part - byteLength / size) < 16 + 8 * size, `${part} of ${byteLength}`)
      }
    }),
  )
})

test('the schedule depends on size and bytes alone; two ranks always go direct', (t) => {
  for (const byteLength of [0, 1, 32 << 10, (32 << 10) + 1, 1 << 30]) {
    t.is(allReduceSchedule(1, byteLength, DEFAULT_TUNING), 'direct')
    t.is(allReduceSchedule(2, byteLength, DEFAULT_TUNING), 'direct')
    t.is(broadcastSchedule(2, byteLength, DEFAULT_TUNING), 'flat')
    for (let size = 3; size <= 16; size++) {
      t.is(
        allReduceSchedule(size, byteLength, DEFAULT_TUNING),
        size <= 8 && byteLength <= 32 << 10 ? 'direct' : 'single-shot',
      )
      t.is(broadcastSchedule(size, byteLength, DEFAULT_TUNING), byteLength >= 256 << 10 ? 'scatter-gather' : 'flat')
    }
    for (const size of [17, 64, 1024]) t.is(allReduceSchedule(size, byteLength, DEFAULT_TUNING), 'levels')
  }
})
