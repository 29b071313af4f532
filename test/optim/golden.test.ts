import test from 'ava'
import { BOUND_MUON_F32, accuracyOf, errorOfF32Steps } from './_accuracy.ts'
import { GOLDEN_NAMES, goldenCase } from './_golden.ts'

for (const name of GOLDEN_NAMES)
  test(`${name}: as the reference computes it`, (t) => {
    const golden = goldenCase(name)
    const { maxError, bound } = accuracyOf(golden)
    t.log(`${golden.reference}, ${golden.dtype}: ${maxError}`)
    t.true(maxError <= bound, `${maxError} is more than ${bound}`)
  })

for (const name of GOLDEN_NAMES.filter((name) => goldenCase(name).rule === 'muon'))
  test(`${name}: a step in f32 is that in f64`, (t) => {
    const error = errorOfF32Steps(goldenCase(name))
    t.log(`${error} of the largest change`)
    t.true(error <= BOUND_MUON_F32, `${error} is more than ${BOUND_MUON_F32}`)
  })
