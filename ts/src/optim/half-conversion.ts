/** f16 and bf16 from and to f32, by the kernels that all-reduce uses: rounded once, to nearest, ties to even. */
import { DTYPE_CODES, FORMAT_CODES } from '../binding/binding.ts'
import type { KernelTask } from '../kernels/work.ts'
import { bytesOf } from '../tensor/check.ts'
import type { HalfDtype } from '../types.ts'

/** Elements of a call: about a millisecond. */
const CALL_ELEMENTS = 1 << 18

/** The half formats have no blocks; the kernel asks for a length all the same. */
const ANY_BLOCK = 2048
const NO_RESIDUAL = new Uint8Array(0)

/** Writes the numbers that halves stand for, exactly. */
export function widenTasks(dtype: HalfDtype, halves: Uint16Array, floats: Float32Array): KernelTask[] {
  return partsOf(halves.length).map(([begin, end]) => {
    const [inputs, output] = [[bytesOf(halves.subarray(begin, end))], bytesOf(floats.subarray(begin, end))]
    const counts = Float64Array.of(end - begin)
    const args = [DTYPE_CODES[dtype], DTYPE_CODES.f32, inputs, counts, Float64Array.of(1), output] as const
    return { sync: (b) => b.combine(...args), async: (b) => b.combineAsync(...args) }
  })
}

/** Writes the nearest halves. Finite numbers beyond the range become the largest there is; NaN and infinity stay. */
export function roundTasks(dtype: HalfDtype, floats: Float32Array, halves: Uint16Array): KernelTask[] {
  return partsOf(halves.length).map(([begin, end]) => {
    const [input, output] = [bytesOf(floats.subarray(begin, end)), bytesOf(halves.subarray(begin, end))]
    const counts = Float64Array.of(end - begin)
    const args = [FORMAT_CODES[dtype], ANY_BLOCK, input, counts, NO_RESIDUAL, output] as const
    return { sync: (b) => b.quantize(...args), async: (b) => b.quantizeAsync(...args) }
  })
}

function partsOf(elementCount: number): [begin: number, end: number][] {
  return Array.from({ length: Math.ceil(elementCount / CALL_ELEMENTS) }, (_, i) => [
    i * CALL_ELEMENTS,
    Math.min(elementCount, (i + 1) * CALL_ELEMENTS),
  ])
}
