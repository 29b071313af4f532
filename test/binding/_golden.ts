/** The results that every language and every machine must have; see test/golden/README.md. */
import test from 'ava'
import { type Binding, DTYPE_CODES, OP_CODES } from '../../ts/src/binding/binding.ts'
import { FAMILIES, ROUNDED, SEGMENTS, fnv1a, inputsOf } from '../golden/_inputs.ts'
import { allBytes, bytesOf, doubles, ones, wholePieces } from './_calls.ts'

type Name = keyof typeof DTYPE_CODES
const RESULTS: readonly [Name, Name][] = [
  ['f32', 'f32'],
  ['f64', 'f64'],
  ['f16', 'f16'],
  ['f16', 'f32'],
  ['bf16', 'bf16'],
  ['bf16', 'f32'],
]
const BYTES: Record<Name, number> = { f32: 4, f64: 8, f16: 2, bf16: 2 }
const COUNTS = [2, 3, 4, 5, 8, 9, 16]

/** A hash for each case, as in test/golden/adasum.json. */
export type Golden = Readonly<Record<string, string>>

function hashOf(binding: Binding, vectors: readonly Float64Array[], dtype: Name, result: Name): string {
  const inputs = vectors.map((vector) => ROUNDED[dtype]!(vector))
  const out = new Uint8Array(inputs[0]!.length * BYTES[result])
  const width = 2 + inputs.length
  const stats = new Float64Array(SEGMENTS.length * width)
  const [from, to, pieces] = [DTYPE_CODES[dtype], DTYPE_CODES[result], wholePieces(...SEGMENTS)]
  binding.reduce(OP_CODES.adasum, from, to, allBytes(inputs), ones(inputs.length), pieces, out, doubles(), stats)
  // The hash knows orthogonality and coefficients, not the sum of the squared norms.
  return fnv1a([out, bytesOf(stats.filter((_, at) => at % width !== 1))])
}

export function goldenContract(binding: Binding, golden: Golden): void {
  test('golden results: the file has one entry a case', (t) => {
    t.is(Object.keys(golden).length, Object.keys(FAMILIES).length * RESULTS.length * COUNTS.length)
  })

  for (const family of Object.keys(FAMILIES)) {
    test(`golden results of ${family}: every dtype gives the same bits`, (t) => {
      for (const k of COUNTS) {
        const vectors = inputsOf(family, k)
        for (const [dtype, result] of RESULTS) {
          const name = `${family}/${dtype}->${result}/${k}`
          t.is(hashOf(binding, vectors, dtype, result), golden[name]!, `${name} on ${binding.isa()}`)
        }
      }
    })
  }
}
