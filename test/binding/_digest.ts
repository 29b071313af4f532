/** Run with ADASUM_ISA: prints a digest of everything that the kernels compute from a fixed set of inputs. */
import { createHash } from 'node:crypto'
import { loadBinding } from '../../ts/src/binding/native.ts'
import type { ReducibleArray } from '../../ts/src/types.ts'
import { FAMILIES, familyOf } from '../reduction/_oracle.ts'
import { halfFamilyOf } from '../reduction/_half.ts'
import { asHalf, fold, reduce, reduceCut } from './_calls.ts'

const binding = loadBinding()
const hash = createHash('sha256')
type Make = (family: string, options: { count: number; length: number; seed: number }) => ReducibleArray[]
const makers: Make[] = [
  (family, options) => familyOf(family, (n) => new Float32Array(n), options),
  (family, options) => familyOf(family, (n) => new Float64Array(n), options),
  (family, options) => halfFamilyOf('f16', family, options).map((input) => asHalf('f16', input)),
  (family, options) => halfFamilyOf('bf16', family, options).map((input) => asHalf('bf16', input)),
]
for (const make of makers) {
  for (const family of Object.keys(FAMILIES)) {
    for (const count of [1, 2, 3, 5, 8]) {
      for (const length of [1, 7, 8, 9, 100, 2049, 10_000]) {
        const inputs = make(family, { count, length, seed: length })
        for (const op of ['sum', 'average', 'adasum'] as const) hash.update(reduce(binding, op, inputs).out)
        hash.update(reduce(binding, 'adasum', inputs).stats)
        hash.update(reduceCut(binding, inputs, 1).out)
        for (const op of ['min', 'max'] as const) hash.update(fold(binding, op, inputs))
      }
    }
  }
}
console.log(binding.isa(), hash.digest('hex'))
