/** The folds of a binding, against loops over plain numbers and bigints. */
import test from 'ava'
import { type Binding, FOLD_OP_CODES, INTEGER_CODES } from '../../ts/src/binding/binding.ts'
import { fc, runsOf } from '../_property.ts'
import { FOLD_CASES, type FoldArray, type FoldName, foldOracle } from '../reduction/_fold-oracle.ts'
import { allBytes, bitsOf, bytesOf } from './_calls.ts'
import type { Extent } from './_contract.ts'

export function foldsContract(binding: Binding, extent: Extent): void {
  for (const { dtype, code, ops, make } of FOLD_CASES) {
    const run = (op: FoldName, inputs: readonly FoldArray[], out: FoldArray): string => {
      binding.fold(FOLD_OP_CODES[op], code, allBytes(inputs), bytesOf(out))
      return bitsOf(out)
    }

    test(`fold ${dtype}: any bits give what a plain loop gives, in any order and in place`, (t) => {
      const inputs = fc.tuple(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 0, max: 70 })).chain(([k, length]) => {
        const bytes = length * make(1).byteLength
        const one = fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((raw) => {
          const array = make(length)
          bytesOf(array).set(raw)
          return array
        })
        return fc.array(one, { minLength: k, maxLength: k })
      })
      fc.assert(
        fc.property(inputs, fc.constantFrom(...ops), (arrays, op) => {
          const want = bitsOf(foldOracle(op, dtype, arrays))
          const apart = run(op, arrays, make(arrays[0]!.length))
          const backwards = run(op, arrays.toReversed(), make(arrays[0]!.length))
          return apart === want && backwards === want && run(op, arrays, arrays.at(-1)!) === want
        }),
        { numRuns: runsOf(extent === 'everything' ? 200 : 40) },
      )
      t.pass()
    })
  }

  test('fold of floats: NaN is passed on as the canonical one, and -0 is less than +0', (t) => {
    const zeros = [Float32Array.of(0, -0, 0, -0), Float32Array.of(-0, 0, 0, -0)]
    const strange = [new Uint32Array([0xffc00001, 0x7f800001, 0xff800000]), new Uint32Array(3).fill(0x7f800000)]
    const of = (op: FoldName, arrays: readonly (Float32Array | Uint32Array)[]): number[] => {
      const out = new Uint32Array(arrays[0]!.length)
      binding.fold(FOLD_OP_CODES[op], 0, allBytes(arrays), bytesOf(out))
      return [...out]
    }
    const minus = 0x80000000
    t.deepEqual(of('min', zeros), [minus, minus, 0, minus])
    t.deepEqual(of('max', zeros), [0, 0, 0, minus])
    t.deepEqual(of('min', strange), [0x7fc00000, 0x7fc00000, 0xff800000])
    t.deepEqual(of('max', strange), [0x7fc00000, 0x7fc00000, 0x7f800000])
  })

  test('fold of integers: sums wrap, and every bit of 64 counts', (t) => {
    const [a, b] = [BigUint64Array.of(2n ** 64n - 1n, 2n ** 53n + 1n), BigUint64Array.of(2n, 2n ** 53n)]
    const sum = new BigUint64Array(2)
    binding.fold(FOLD_OP_CODES.sum, INTEGER_CODES.u64, allBytes([a, b]), bytesOf(sum))
    t.deepEqual(sum, BigUint64Array.of(1n, 2n ** 54n + 1n))
    const bytes = [Uint8Array.of(200, 255), Uint8Array.of(100, 1)]
    binding.fold(FOLD_OP_CODES.sum, INTEGER_CODES.u8, bytes, bytes[0]!)
    t.deepEqual(bytes[0], Uint8Array.of(44, 0))
  })
}
