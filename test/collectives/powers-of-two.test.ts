/**
 * Adasum of gradients that are scaled by a power of two is the scaled Adasum, bit for bit: what loss scaling rests on. It
 * holds in every dtype and schedule as long as no number of inputs or result leaves the range of normal numbers.
 */
import test from 'ava'
import { adasumSync } from '../../ts/src/reduction/local.ts'
import type { AllReduceAlgorithm, FloatArray, HalfDtype } from '../../ts/src/types.ts'
import { fc, runsOf } from '../_property.ts'
import { bitsOf, makeWorld, onAll, vectorOf } from '../_world.ts'
import { HALF_DTYPES, halvesOf, round, widen, widened } from '../reduction/_half.ts'

/** Direct; single-shot and levels with segments cut across ranks. */
const SEGMENTS = [[5, 252], [3, 4100, 2997]] // prettier-ignore

/**
 * Exponents whose scales keep the numbers of `inputOf` and their combinations normal. In f64 so do the products of products,
 * from which coefficients are made; for the other dtypes these are far inside the range.
 */
const EXPONENTS = { f32: [-80, -16, 1, 16, 80], f64: [-100, 16, 100], f16: [1, 4, 6], bf16: [-80, -16, 16, 80] }

/** Numbers from 32 to 96 and their negatives, so that few of their differences are small. */
function inputOf(length: number, rank: number): Float64Array {
  return vectorOf(new Float64Array(length), rank).map((value) => 64 * (value < 0 ? value - 0.5 : value + 0.5))
}

const lengthOf = (segments: readonly number[]): number => segments.reduce((a, b) => a + b)

/** The smallest normal number; a result below it, unscaled, would be rounded otherwise than a scaled one. */
const LEAST = { f32: 2 ** -126, f64: 2 ** -1022, f16: 2 ** -14, bf16: 2 ** -126 }

function algorithmsOf(size: number): AllReduceAlgorithm[] {
  const all: AllReduceAlgorithm[] = ['direct', 'single-shot', 'levels']
  return Number.isInteger(Math.log2(size)) ? [...all, 'rvh'] : all
}

for (const size of [2, 3, 4, 5]) {
  test(`${size} ranks: f32 and f64 in all schedules`, async (t) => {
    const world = await makeWorld(size)
    t.teardown(() => world.close())
    for (const algorithm of algorithmsOf(size)) {
      for (const segments of SEGMENTS) {
        for (const Floats of [Float32Array, Float64Array]) {
          const combined = async (scale: number): Promise<FloatArray> => {
            const results = await onAll(world.ranks, async (comm, rank): Promise<FloatArray> => {
              const input = new Floats(inputOf(lengthOf(segments), rank).map((value) => value * scale))
              return (await comm.allReduce(input, { op: 'adasum', algorithm, segments })).result
            })
            return results[0]!
          }
          const plain = await combined(1)
          for (const exponent of EXPONENTS[Floats === Float32Array ? 'f32' : 'f64']) {
            const unscaled = (await combined(2 ** exponent)).map((value) => value * 2 ** -exponent)
            t.is(bitsOf(unscaled), bitsOf(plain), `${algorithm}, ${segments.join()}, 2^${exponent}`)
          }
        }
      }
    }
  })

  for (const dtype of HALF_DTYPES)
    test(`${size} ranks: ${dtype} in all schedules, stored as it is and as f32`, async (t) => {
      const world = await makeWorld(size)
      t.teardown(() => world.close())
      for (const algorithm of algorithmsOf(size)) {
        for (const segments of SEGMENTS) {
          const length = lengthOf(segments)
          const combined = async (scale: number, wide: boolean): Promise<Float64Array> => {
            const results = await onAll(world.ranks, async (comm, rank) => {
              const input = scaledHalves(dtype, halvesOf(dtype, inputOf(length, rank)), scale)
              const options = { op: 'adasum', dtype, algorithm, segments } as const
              if (!wide) return widened(dtype, (await comm.allReduce(input, options)).result)
              const { result } = await comm.allReduce(input, { ...options, out: new Float32Array(length) })
              return Float64Array.from(result)
            })
            return results[0]!
          }
          for (const wide of [false, true]) {
            const plain = await combined(1, wide)
            for (const exponent of EXPONENTS[dtype]) {
              const scale = 2 ** exponent
              const unscaled = (await combined(scale, wide)).map((value) => value / scale)
              // A sum that cancels to less than is normal has lost digits on one of the two sides.
              const least = wide ? LEAST.f32 : LEAST[dtype]
              const isHeld = (value: number): boolean => value === 0 || Math.abs(value) * Math.min(1, scale) >= least
              const differing = plain.findIndex((value, i) => isHeld(value) && value !== unscaled[i])
              t.is(differing, -1, `${algorithm}, ${segments.join()}, 2^${exponent}, as f32: ${wide}`)
              t.true(plain.filter(isHeld).length > 0.99 * length)
            }
          }
        }
      }
    })
}

function scaledHalves(dtype: HalfDtype, halves: Uint16Array, scale: number): Uint16Array {
  return halves.map((bits) => round(dtype, widen(dtype, bits) * scale))
}

test('any numbers and any power of two that keeps them normal', (t) => {
  const numbers = fc.array(fc.float({ min: 2 ** -10, max: 2 ** 10, noNaN: true }), { minLength: 3, maxLength: 3 })
  fc.assert(
    fc.property(
      fc.array(numbers, { minLength: 1, maxLength: 6 }),
      fc.integer({ min: -60, max: 60 }),
      (rows, exponent) => {
        const inputs = rows.map((row, i) => Float32Array.from(row, (value, j) => (((i * j) % 2) * 2 - 1) * value))
        const scaled = adasumSync(inputs.map((input) => input.map((value) => value * 2 ** exponent))).result
        const plain = adasumSync(inputs).result
        t.deepEqual(scaled.map((value) => value * 2 ** -exponent), plain) // prettier-ignore
      },
    ),
    { numRuns: runsOf(200) },
  )
})

test('it ends where numbers become subnormal: these have fewer digits', (t) => {
  const inputs = [Float32Array.of(1.2345678, 1), Float32Array.of(-0.7654321, 3)]
  const plain = adasumSync(inputs).result
  const unscaledBy = (scale: number): Float32Array =>
    adasumSync(inputs.map((input) => input.map((value) => value * scale))).result.map((value) => value / scale)
  // The smallest number of f32 is 2^-149, the smallest normal one 2^-126.
  t.deepEqual(unscaledBy(2 ** -120), plain)
  t.notDeepEqual(unscaledBy(2 ** -140), plain)
  t.deepEqual(unscaledBy(2 ** -160), new Float32Array(2))
})
