import test from 'ava'
import { CHECKED_NAMES, accuracyOf } from './_accuracy.ts'
import { goldenCase } from './_golden.ts'

for (const name of CHECKED_NAMES)
  test(`${name}: as the reference computes it`, (t) => {
    const golden = goldenCase(name)
    const { maxError, bound } = accuracyOf(golden)
    t.log(`${golden.reference}, ${golden.dtype}: ${maxError}`)
    t.true(maxError <= bound, `${maxError} is more than ${bound}`)
  })
