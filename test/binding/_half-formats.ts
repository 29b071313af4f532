/** Reductions of f16 and bf16 by a binding, and the conversions of every number of these formats. */
import test from 'ava'
import { type Binding, OP_CODES } from '../../ts/src/binding/binding.ts'
import type { ReduceOp } from '../../ts/src/types.ts'
import { HALF_DTYPES, halfFamilyOf, halvesOf, widened } from '../reduction/_half.ts'
import { oracle, relativeError } from '../reduction/_oracle.ts'
import { asHalf, bitsOf, bytesOf, doubles, dtypeOf, reduce, reduceArguments, reduceCut } from './_calls.ts'

const OPS = Object.keys(OP_CODES) as ReduceOp[]
/** The error of a result that is stored as f32: one rounding. */
const TOLERANCE = 1.2e-7

export function halfFormatsContract(binding: Binding): void {
  for (const dtype of HALF_DTYPES) {
    const inputsOf = (count: number, length: number): Uint16Array[] =>
      halfFamilyOf(dtype, 'a large common part', { count, length, seed: length }).map((input) => asHalf(dtype, input))

    test(`${dtype}: reduce equals the pairwise recursion, rounded once, and is f32 if that is asked for`, (t) => {
      for (const count of [1, 2, 3, 8]) {
        for (const length of [1, 31, 5000]) {
          const inputs = inputsOf(count, length)
          for (const op of OPS) {
            const { args, results } = reduceArguments(binding, op, inputs)
            binding.reduce(...args)
            const wide = new Float32Array(length)
            ;[args[2], args[6]] = [0, bytesOf(wide)]
            binding.reduce(...args)
            const want = oracle(
              op,
              inputs.map((input) => widened(dtype, input)),
            )
            t.true(relativeError(wide, want) <= TOLERANCE, `${op}, ${count} of ${length}`)
            const error = relativeError(widened(dtype, results.out), want)
            t.true(error <= (dtype === 'f16' ? 2 ** -11 : 2 ** -8), `${op}, ${count} of ${length}: off by ${error}`)
          }
        }
      }
    })

    test(`${dtype}: a segment that is cut into runs has the bits of a whole one`, (t) => {
      for (const count of [2, 7]) {
        const inputs = inputsOf(count, 11_111)
        const whole = reduce(binding, 'adasum', inputs)
        for (const blocks of [1, 3]) t.is(bitsOf(reduceCut(binding, inputs, blocks).out), bitsOf(whole.out))
      }
    })

    test(`${dtype}: every number widens to itself, and times a third rounds once`, (t) => {
      const input = asHalf(
        dtype,
        new Uint16Array(1 << 16).map((_, bits) => bits),
      )
      const [numbers, code] = [widened(dtype, input), dtypeOf(input)]
      const [wide, narrow] = [new Float32Array(input.length), new Uint16Array(input.length)]
      const count = doubles(input.length)
      binding.combine(code, 0, [bytesOf(input)], count, doubles(1), bytesOf(wide))
      t.is(bitsOf(wide), bitsOf(Float32Array.from(numbers)))
      for (const factor of [1 / 3, 1 + 2 ** -11 + 2 ** -40, 1 - 2 ** -12, 2 ** -12, 3 ** -9, 1e4]) {
        binding.combine(code, code, [bytesOf(input)], count, doubles(factor), bytesOf(narrow))
        const want = halvesOf(
          dtype,
          numbers.map((x) => x * factor),
        )
        t.is(bitsOf(narrow), bitsOf(want), `times ${factor}`)
      }
    })

    test(`${dtype}: combine rounds once, or stores f32; the scan finds NaN and infinity`, async (t) => {
      const numbers = [1.5, -2, NaN, Infinity, 2 ** -14, -0]
      const [input, code] = [halvesOf(dtype, numbers), dtypeOf(asHalf(dtype, new Uint16Array(0)))]
      const [wide, later] = [new Float32Array(6), new Float32Array(6)]
      binding.combine(code, 0, [bytesOf(input)], doubles(6), doubles(1), bytesOf(wide))
      await binding.combineAsync(code, 0, [bytesOf(input)], doubles(6), doubles(1), bytesOf(later))
      t.deepEqual([wide, later], [Float32Array.from(numbers), Float32Array.from(numbers)])
      const out = new Uint16Array(6)
      binding.combine(code, code, [bytesOf(input)], doubles(6), doubles(1 / 3), bytesOf(out))
      t.deepEqual(
        out,
        halvesOf(
          dtype,
          numbers.map((x) => x * (1 / 3)),
        ),
      )
      const scan = (from: number, to: number) =>
        binding.hasNonFinite(code, bytesOf(input.subarray(from, to)), doubles(to - from))
      t.deepEqual([scan(0, 2), scan(0, 3), scan(3, 6), scan(4, 6)], [false, true, true, false])
    })
  }

  test('memory that does not fit the dtypes is refused', (t) => {
    const input = new Uint8Array(new ArrayBuffer(32), 0, 16)
    const combine = (dtype: number, resultDtype: number, count: number, out: Uint8Array) => () =>
      binding.combine(dtype, resultDtype, [input], doubles(count), doubles(1), out)
    t.notThrows(combine(2, 0, 8, new Uint8Array(32)))
    for (const call of [
      combine(2, 0, 8, new Uint8Array(16)),
      combine(2, 2, 8, new Uint8Array(32)),
      combine(2, 3, 8, new Uint8Array(16)),
      combine(3, 1, 8, new Uint8Array(64)),
      combine(0, 2, 4, new Uint8Array(8)),
      // An f32 result over its own inputs would overwrite what is still to be read.
      combine(2, 0, 8, new Uint8Array(input.buffer)),
    ])
      t.throws(call, { code: 'ERR_ARGUMENT' })
  })
}
