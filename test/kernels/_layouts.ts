/** Random layouts for properties: segments of every awkward length, empty ones included. */
import { BLOCK_ELEMENTS } from '../../ts/src/binding/binding.ts'
import { dtypeOf } from '../../ts/src/tensor/dtype.ts'
import { type Layout, layoutOfArray } from '../../ts/src/tensor/layout.ts'
import { fc } from '../_property.ts'

export const F32 = dtypeOf(new Float32Array(1))!

const count = fc.oneof(
  fc.constantFrom(0, 0, 1, 2, 2047, 2048, 2049, 4096),
  fc.nat(20_000),
  fc.nat(100).map((blocks) => blocks * BLOCK_ELEMENTS),
)

/** Element counts of segments, at least one element in all. */
export const anySegments: fc.Arbitrary<number[]> = fc
  .array(count, { minLength: 1, maxLength: 12 })
  .map((counts) => (counts.some((n) => n > 0) ? counts : [...counts, 1]))

export const anyLayout: fc.Arbitrary<Layout> = anySegments.map((counts) =>
  layoutOfArray(
    F32,
    counts.reduce((a, b) => a + b),
    counts,
  ),
)

/** Every element at which a slice may begin or end: those of segments and of the blocks in them. */
export function cutsOf(layout: Layout): number[] {
  const cuts = new Set<number>([layout.elementCount])
  layout.segmentElementCounts.forEach((elements, segment) => {
    for (let at = 0; at < elements; at += BLOCK_ELEMENTS) cuts.add(layout.segmentBegins[segment]! + at)
  })
  return [...cuts]
}
