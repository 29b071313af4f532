/** f16 and bf16 in the local functions: against the definition of the formats, rounded to them or stored as f32. */
import test from 'ava'
import { AdasumError } from '../../ts/src/errors.ts'
import { chunkElementCount } from '../../ts/src/kernels/slice.ts'
import { adasum, adasumSync, average, averageSync, sum, sumSync } from '../../ts/src/reduction/local.ts'
import type { HalfDtype, ReduceOp, Reduction, SegmentReduction } from '../../ts/src/types.ts'
import { bitsOf } from '../_world.ts'
import { HALF_DTYPES, halfFamilyOf, halvesOf, round, widen, widened } from './_half.ts'
import { FAMILIES, oracle, relativeError } from './_oracle.ts'

const ASYNC = { sum, average, adasum }
const SYNC = { sum: sumSync, average: averageSync, adasum: adasumSync }
const OPS: ReduceOp[] = ['sum', 'average', 'adasum']

const u16 = (...bits: number[]): Uint16Array => Uint16Array.from(bits)

test('the helpers know the formats', (t) => {
  const known: Record<HalfDtype, [number, number][]> = {
    f16: [
      [0x3c00, 1],
      [0xc000, -2],
      [0x7bff, 65504],
      [0x0001, 2 ** -24],
      [0x0400, 2 ** -14],
      [0x3555, 0.333251953125],
    ],
    bf16: [
      [0x3f80, 1],
      [0xc000, -2],
      [0x7f7f, 3.3895313892515355e38],
      [0x0001, 2 ** -133],
      [0x3eab, 0.333984375],
    ],
  }
  for (const dtype of HALF_DTYPES) {
    for (const [bits, value] of known[dtype]) {
      t.is(widen(dtype, bits), value)
      t.is(round(dtype, value), bits)
    }
    for (let bits = 0; bits < 0x10000; bits++) {
      const back = round(dtype, widen(dtype, bits))
      if (back !== bits && !Number.isNaN(widen(dtype, bits))) t.fail(`${dtype} 0x${bits.toString(16)}`)
    }
    t.is(round(dtype, -Infinity), dtype === 'f16' ? 0xfc00 : 0xff80)
    t.is(round(dtype, NaN), dtype === 'f16' ? 0x7e00 : 0x7fc0)
  }
  t.is(round('f16', 65519.99), 0x7bff)
  t.is(round('f16', 65520), 0x7c00)
})

for (const dtype of HALF_DTYPES) {
  test(`${dtype}: every number there is comes through, in its own format and as f32`, (t) => {
    const all = Uint16Array.from({ length: 0x10000 }, (_, bits) => bits)
    const finite = all.filter((bits) => Number.isFinite(widen(dtype, bits)))
    for (const op of OPS) {
      // One NaN makes all coefficients of adasum NaN.
      const input = op === 'adasum' ? finite : all
      const numbers = widened(dtype, input)
      const same = SYNC[op]([input], { dtype }).result
      t.is(bitsOf(same), bitsOf(halvesOf(dtype, numbers)), op)
      const wide = SYNC[op]([input], { dtype, out: new Float32Array(input.length) }).result
      t.is(bitsOf(wide), bitsOf(Float32Array.from(numbers)), op)
    }
  })

  for (const family of Object.keys(FAMILIES)) {
    test(`${dtype}, ${family}: 1 to 9 inputs give what the definition says, rounded once`, async (t) => {
      const cancelling = family.includes('1e-4 noise')
      for (const count of [1, 2, 3, 5, 9]) {
        for (const length of [3, 8, 257, 3100]) {
          const inputs = halfFamilyOf(dtype, family, { count, length, seed: count * 10_000 + length })
          // A single element cancels in a family that cancels, and then its digits are noise.
          const first = cancelling ? 0 : 1
          const segments = [first, 0, Math.floor(length / 3), length - first - Math.floor(length / 3)]
          for (const op of OPS) {
            const problem = await problemOf(op, dtype, inputs, segments, cancelling ? 1e-6 : 1e-8)
            t.is(problem, undefined, `${op}, ${count} x ${length}`)
          }
        }
      }
    })
  }
}

/** What is wrong with the results of the four forms, if anything. */
async function problemOf(
  op: ReduceOp,
  dtype: HalfDtype,
  inputs: Uint16Array[],
  segments: number[],
  tolerance: number,
): Promise<string | undefined> {
  const options = { dtype, segments, coefficients: true } as const
  const before = inputs.map(bitsOf)
  const got = SYNC[op](inputs, options)
  const exact = combinationOf(op, dtype, inputs, got.segments)
  if (bitsOf(got.result) !== bitsOf(halvesOf(dtype, exact))) return 'not the combination that is reported, rounded once'
  const wide = SYNC[op](inputs, { ...options, out: new Float32Array(exact.length) })
  if (bitsOf(wide.result) !== bitsOf(Float32Array.from(exact))) return 'as f32: not the combination'
  if (JSON.stringify(wide.segments) !== JSON.stringify(got.segments)) return 'as f32: other reports'
  if (bitsOf((await ASYNC[op](inputs, options)).result) !== bitsOf(got.result)) return 'the asynchronous form differs'
  const later = await ASYNC[op](inputs, { ...options, out: new Float32Array(exact.length) })
  if (bitsOf(later.result) !== bitsOf(wide.result)) return 'as f32: the asynchronous form differs'
  if (inputs.some((input, i) => bitsOf(input) !== before[i])) return 'an input was changed'
  const numbers = inputs.map((input) => widened(dtype, input))
  const error = relativeError(exact, oracle(op, numbers, segments), segments)
  return error <= tolerance ? undefined : `off by ${error}`
}

/** Sum c_i g_i in f64 in input order, with the coefficients that the result reports. */
function combinationOf(
  op: ReduceOp,
  dtype: HalfDtype,
  inputs: Uint16Array[],
  segments: readonly SegmentReduction[],
): Float64Array {
  const numbers = inputs.map((input) => widened(dtype, input))
  const result = new Float64Array(inputs[0]!.length)
  let at = 0
  for (const { elementCount, coefficients } of segments) {
    const constant = inputs.map(() => (op === 'sum' ? 1 : 1 / inputs.length))
    for (const end = at + elementCount; at < end; at++) {
      // -0 is neutral in additions, +0 is not.
      let value = -0
      for (const [i, c] of (coefficients ?? constant).entries()) if (c !== 0) value += c * numbers[i]![at]!
      result[at] = (coefficients ?? constant).some((c) => c !== 0) ? value : 0
    }
  }
  return result
}

test('results are rounded once: what lies just beside a middle goes to its side', (t) => {
  // In f32 the last summand would be lost, and the middle go to the even neighbour.
  t.deepEqual(
    sumSync(
      [0x3c00, 0x1000, 0x0001].map((bits) => u16(bits)),
      { dtype: 'f16' },
    ).result,
    u16(0x3c01),
  )
  t.deepEqual(
    sumSync(
      [0x3c00, 0x1000].map((bits) => u16(bits)),
      { dtype: 'f16' },
    ).result,
    u16(0x3c00),
  )
  const bf16 = (...numbers: number[]): Uint16Array[] => numbers.map((x) => halvesOf('bf16', [x]))
  t.deepEqual(sumSync(bf16(1, 2 ** -8, 2 ** -40), { dtype: 'bf16' }).result, u16(0x3f81))
  t.deepEqual(sumSync(bf16(1, 2 ** -8), { dtype: 'bf16' }).result, u16(0x3f80))
  t.deepEqual(sumSync(bf16(1 + 2 ** -7, 2 ** -8), { dtype: 'bf16' }).result, u16(0x3f82))
})

test('a sum beyond the largest f16 is infinite there, and finite as f32', (t) => {
  const input = halvesOf('f16', [60_000, -60_000])
  t.deepEqual(sumSync([input, input], { dtype: 'f16' }).result, u16(0x7c00, 0xfc00))
  t.deepEqual([...sumSync([input, input], { dtype: 'f16', out: new Float32Array(2) }).result], [120_000, -120_000])
  t.deepEqual(adasumSync([input, input], { dtype: 'f16' }).result, input)
})

for (const dtype of HALF_DTYPES) {
  test(`${dtype}: a segment taken in several pieces is that of one combination`, async (t) => {
    const count = 9
    const chunk = chunkElementCount(2, count)
    const length = 2 * chunk + 777
    const inputs = halfFamilyOf(dtype, 'alternating sign, 10 % noise', { count, length, seed: 1 })
    t.is(await problemOf('adasum', dtype, inputs, [length], 1e-8), undefined)
  })

  test(`${dtype}: a result may be given its place, at any even offset, between the inputs`, (t) => {
    const memory = new Uint16Array(13)
    const [a, out, b] = [1, 5, 9].map((first) => memory.subarray(first, first + 4)) as [
      Uint16Array,
      Uint16Array,
      Uint16Array,
    ]
    a.set(halvesOf(dtype, [1, 2, 3, 4]))
    b.set(halvesOf(dtype, [4, 3, 2, 1]))
    t.is(sumSync([a, b], { dtype, out }).result, out)
    t.deepEqual([...widened(dtype, memory.subarray(1))], [1, 2, 3, 4, 5, 5, 5, 5, 4, 3, 2, 1])
    t.is(memory[0], 0)
  })

  test(`${dtype}: policies for inputs that are not finite`, async (t) => {
    for (const bad of [NaN, Infinity, -Infinity]) {
      for (const length of [1, 5, 4097]) {
        const good = halfFamilyOf(dtype, 'independent', { count: 3, length, seed: length })
        const spoilt = good[1]!.slice()
        spoilt[length - 1] = round(dtype, bad)
        const inputs = [good[0]!, spoilt, good[2]!]
        const present = [good[0]!, good[2]!]
        for (const op of OPS) {
          const what = `${bad}, ${op}, ${length}`
          const [out, wide] = [new Uint16Array(length).fill(7), new Float32Array(length).fill(7)]
          const expected = { instanceOf: AdasumError, code: 'ERR_NON_FINITE', message: /inputs\[1\]/ }
          t.throws(() => SYNC[op](inputs, { dtype, onNonFinite: 'throw', out }), expected, what)
          await t.throwsAsync(ASYNC[op](inputs, { dtype, onNonFinite: 'throw', out: wide }), expected, what)
          t.true(out.every((x) => x === 7) && wide.every((x) => x === 7), what)
          const skipped = SYNC[op](inputs, { dtype, onNonFinite: 'skip', out: wide })
          const want = SYNC[op](present, { dtype, out: new Float32Array(length) })
          t.is(bitsOf(skipped.result), bitsOf(want.result), what)
          t.deepEqual(skipped.nonFiniteRanks, [1])
          const propagated = SYNC[op](inputs, { dtype, onNonFinite: 'propagate' }).result
          t.false(Number.isFinite(widen(dtype, propagated[length - 1]!)), what)
        }
        t.throws(() => adasumSync(inputs, { dtype }), { code: 'ERR_NON_FINITE' })
        t.notThrows(() => sumSync(inputs, { dtype }))
      }
    }
  })

  test(`${dtype}: if all inputs are left out, the result is zero, as f32 if that is asked for`, async (t) => {
    const numbers = [NaN, 1.5, -Infinity, -0, 2 ** -14]
    const inputs = [halvesOf(dtype, numbers), halvesOf(dtype, [Infinity, 1, 1, 1, 1])]
    const options = { dtype, onNonFinite: 'skip' } as const
    for (const got of [adasumSync(inputs, options), await average(inputs, options)]) {
      t.is(bitsOf(got.result), bitsOf(new Uint16Array(numbers.length)))
      t.deepEqual(got.nonFiniteRanks, [0, 1])
    }
    const out = (): Float32Array => new Float32Array(5).fill(7)
    for (const got of [
      adasumSync(inputs, { ...options, out: out() }),
      await adasum(inputs, { ...options, out: out() }),
      sumSync(inputs, { ...options, out: out() }),
    ]) {
      t.is(bitsOf(got.result), bitsOf(new Float32Array(numbers.length)))
      t.deepEqual(got.nonFiniteRanks, [0, 1])
    }
  })
}

// ---- types: the compiler checks these, and that the wrong ones are errors

test('a result has the type of the inputs, or of the Float32Array that is to hold it', async (t) => {
  const half: Uint16Array = u16(0, 0, 0)
  const r: Uint16Array = (await adasum([half], { dtype: 'bf16' })).result
  const f: Float32Array = (await adasum([half, half], { dtype: 'bf16', out: new Float32Array(3) })).result
  const s: Uint16Array = sumSync([half], { dtype: 'f16', out: new Uint16Array(3) }).result
  const w: Float32Array = averageSync([half], { dtype: 'f16', out: new Float32Array(3) }).result
  const d: Float64Array = sumSync([new Float64Array(3)]).result
  const annotated: Reduction = await sum([new Float32Array(3)])
  // Views of any kind of buffer, and options that are made before the call.
  const out: Float64Array = new Float64Array(3)
  t.is(sumSync([new Float64Array(3)], { out }).result, out)
  t.true([r, f, s, w, d, annotated.result].every(({ length }) => length === 3))
})

export async function refusedByTheCompiler(half: Uint16Array, single: Float32Array, double: Float64Array) {
  // @ts-expect-error the result is a Uint16Array
  const wide: Float32Array = (await adasum([half], { dtype: 'bf16' })).result
  // @ts-expect-error the result is the Float32Array
  const narrow: Uint16Array = sumSync([half], { dtype: 'bf16', out: single }).result
  // @ts-expect-error no such dtype
  sumSync([half], { dtype: 'f8' })
  // @ts-expect-error half formats are stored as they are or as f32
  sumSync([half], { dtype: 'f16', out: double })
  // @ts-expect-error f64 is not stored as f32
  sumSync([double], { out: single })
  // @ts-expect-error f32 is not stored as a half format
  await average([single], { dtype: 'f16', out: half })
  // @ts-expect-error no integers
  averageSync([new Int16Array(3)], { dtype: 'f16' })
  return [wide, narrow]
}
