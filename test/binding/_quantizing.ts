/** The codes of a binding, against their definition. */
import test from 'ava'
import { type Binding, FORMAT_CODES, FORMAT_WIDTHS } from '../../ts/src/binding/binding.ts'
import { quantise } from '../collectives/_quantize.ts'
import { familyOf } from '../reduction/_oracle.ts'
import { bitsOf, bytesOf, doubles } from './_calls.ts'

export function quantisingContract(binding: Binding): void {
  for (const format of ['f16', 'bf16', 'int8'] as const)
    test(`quantize to ${format}: numbers and what is left over are those of the definition`, async (t) => {
      const { code, scale } = FORMAT_WIDTHS[format]
      for (const [block, counts] of [
        [16, [5, 0, 100]],
        [256, [3000]],
        [2048, [1, 2049, 70]],
      ] as const) {
        const length = counts.reduce<number>((a, b) => a + b, 0)
        const [input, residual] = familyOf('independent', (n) => new Float32Array(n), {
          ...{ count: 2, length, seed: block },
        }) as [Float32Array, Float32Array]
        residual.forEach((x, i) => (residual[i] = x / 100))
        const want = quantise({ format, block }, counts, input, residual)
        const byteLength = counts.reduce<number>((sum, n) => sum + n * code + Math.ceil(n / block) * scale, 0)
        const [codes, table] = [new Uint8Array(byteLength), doubles(...counts)]
        const run = async (isLater: boolean): Promise<string[]> => {
          const [rest, out] = [residual.slice(), new Float32Array(length)]
          const args = [FORMAT_CODES[format], block, bytesOf(input), table, bytesOf(rest), codes.fill(9)] as const
          const back = [FORMAT_CODES[format], block, codes, table, bytesOf(out)] as const
          if (isLater) {
            await binding.quantizeAsync(...args)
            await binding.dequantizeAsync(...back)
          } else {
            binding.quantize(...args)
            binding.dequantize(...back)
          }
          return [bitsOf(out), bitsOf(rest)]
        }
        t.deepEqual(await run(false), [bitsOf(want.numbers), bitsOf(want.residual)])
        t.deepEqual(await run(true), await run(false))
      }
    })

  test('quantize without a residual touches none', (t) => {
    const [input, codes] = [Float32Array.of(1, -0.5), new Uint8Array(6)]
    binding.quantize(4, 16, bytesOf(input), doubles(2), new Uint8Array(0), codes)
    t.deepEqual([...codes.subarray(4)], [127, 256 - 64])
    const out = new Float32Array(2)
    binding.dequantize(4, 16, codes, doubles(2), bytesOf(out))
    t.deepEqual([...out], [127 * Math.fround(1 / 127), -64 * Math.fround(1 / 127)].map(Math.fround))
  })
}
