import test from 'ava'
import { accuracyOf } from './_accuracy.ts'
import { GOLDEN_NAMES, goldenCase } from './_golden.ts'

for (const name of GOLDEN_NAMES.filter((name) => !name.startsWith('muon')))
  test(`${name}: as the reference computes it`, (t) => {
    const golden = goldenCase(name)
    const { maxError, bound } = accuracyOf(golden)
    t.log(`${golden.reference}, ${golden.dtype}: ${maxError}`)
    t.true(maxError <= bound, `${maxError} is more than ${bound}`)
  })
