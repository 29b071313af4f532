/** Slices and their pieces: what the canonical order of additions rests on. */
import test from 'ava'
import { BLOCK_ELEMENTS } from '../../ts/src/binding/binding.ts'
import { loadBinding } from '#binding'
import {
  chunkElementCount,
  isWhole,
  pieceElementCount,
  runsOf,
  segmentAt,
  sliceOf,
} from '../../ts/src/kernels/slice.ts'
import { layoutOfArray } from '../../ts/src/tensor/layout.ts'
import { fc, runsOf as timesOf } from '../_property.ts'
import { F32, anyLayout, cutsOf } from './_layouts.ts'

const anyChunk = fc.nat(6).map((log) => BLOCK_ELEMENTS * 2 ** log)

test('the pieces of a slice cover it without a gap, and are cut only at segment or chunk boundaries', (t) => {
  fc.assert(
    fc.property(anyLayout, anyChunk, anyChunk, fc.nat(), fc.nat(), (layout, one, other, a, b) => {
      const [callElements, wholeElements] = [Math.min(one, other), Math.max(one, other)]
      const cuts = cutsOf(layout)
      const [begin, end] = [cuts[a % cuts.length]!, cuts[b % cuts.length]!].sort((x, y) => x - y) as [number, number]
      const slice = sliceOf(layout, begin, end, wholeElements, callElements)
      let at = begin
      slice.segments.forEach((segment, piece) => {
        const [segmentBegin, count] = [layout.segmentBegins[segment]!, layout.segmentElementCounts[segment]!]
        // Segments that fit stay whole; longer ones are cut as finely as calls are short.
        const chunkElements = count > wholeElements ? callElements : wholeElements
        const [total, first, elements] = slice.pieces.subarray(piece * 3, piece * 3 + 3) as unknown as number[]
        t.deepEqual([total, segmentBegin + first!, elements], [count, at, pieceElementCount(slice, piece)])
        t.true(elements! > 0 && elements! <= chunkElements)
        t.is(first! % BLOCK_ELEMENTS, 0)
        // A piece stays within one chunk, so that it is made of whole nodes of the tree.
        t.is(Math.floor(first! / chunkElements), Math.floor((first! + elements! - 1) / chunkElements))
        if (at + elements! !== end && first! + elements! !== count) t.is((first! + elements!) % chunkElements, 0)
        t.is(isWhole(slice, piece), elements === count)
        at += elements!
      })
      t.is(at, end)
      t.is(slice.pieces.length, 3 * slice.segments.length)
    }),
    { numRuns: timesOf(300) },
  )
})

test('cut anywhere into slices, a segment has the Gram matrix of the whole, bit for bit', (t) => {
  const binding = loadBinding()
  const cuts = fc.array(fc.nat(40), { maxLength: 6 })
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 80_000 }),
      anyChunk,
      cuts,
      fc.nat(1e6),
      (length, chunkElements, blocks, seed) => {
        const data = Float32Array.from({ length }, (_, i) => Math.sin(i * 1.7 + seed))
        const bytes = new Uint8Array(data.buffer)
        const layout = layoutOfArray(F32, length)
        const whole = new Float64Array(1)
        binding.gram(F32.code, [bytes], Float64Array.of(length, 0, length), whole)
        const begins = [0, ...blocks.map((block) => Math.min(length, block * BLOCK_ELEMENTS)), length].sort(
          (x, y) => x - y,
        )
        const [runs, nodes]: [number[], number[]] = [[], []]
        for (let i = 1; i < begins.length; i++) {
          const slice = sliceOf(layout, begins[i - 1]!, begins[i]!, chunkElements)
          const isCut = begins[i]! - begins[i - 1]! < length || slice.segments.length > 1
          const found = new Float64Array(isCut ? binding.nodeCount(slice.pieces) : slice.segments.length)
          const part = bytes.subarray(begins[i - 1]! * 4, begins[i]! * 4)
          if (slice.segments.length > 0) binding.gram(F32.code, [part], slice.pieces, found)
          runs.push(...runsOf(slice, 0, slice.segments.length))
          nodes.push(...found)
        }
        t.deepEqual(binding.gramFinish(length, Float64Array.from(runs), Float64Array.from(nodes), 1), whole)
      },
    ),
    { numRuns: timesOf(200) },
  )
})

test('the segment of an element is the one that holds it, whatever empty ones are around', (t) => {
  fc.assert(
    fc.property(anyLayout, fc.nat(), (layout, n) => {
      const element = n % layout.elementCount
      const segment = segmentAt(layout, element)
      return layout.segmentBegins[segment]! <= element && element < layout.segmentBegins[segment + 1]!
    }),
  )
  t.pass()
})

test('a chunk is a power of two of blocks, and all inputs together stay within one kernel call where that is possible', (t) => {
  for (const byteLength of [2, 4, 8])
    for (let inputs = 1; inputs <= 64; inputs++) {
      const blocks = chunkElementCount(byteLength, inputs) / BLOCK_ELEMENTS
      t.true(Number.isInteger(Math.log2(blocks)))
      const bytes = blocks * BLOCK_ELEMENTS * byteLength * inputs
      t.true(bytes <= 4 << 20 && bytes > 2 << 20, `${inputs} inputs: ${bytes} bytes`)
    }
})
