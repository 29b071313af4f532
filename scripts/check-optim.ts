// How far each optimizer is from the reference implementation: `npm run --silent check:optim -- --json`. A line a case; f64 is
// relative, after all steps, f32 in units of the last place, after single steps from the reference's own state.
import { CHECKED_NAMES, accuracyOf } from '../test/optim/_accuracy.ts'
import { goldenCase } from '../test/optim/_golden.ts'

const isJson = process.argv.includes('--json')
let failed = 0
for (const name of CHECKED_NAMES) {
  const golden = goldenCase(name)
  const { maxError, bound } = accuracyOf(golden)
  if (!(maxError <= bound)) failed++
  const line = { optimizer: name, dtype: golden.dtype, steps: golden.steps, maxError, bound }
  const text = `${name.padEnd(30)} ${golden.dtype} ${String(golden.steps).padStart(4)} steps  ${maxError.toExponential(1)} of ${bound}`
  console.log(isJson ? JSON.stringify(line) : `${text}  ${golden.reference}`)
}
process.exitCode = failed > 0 ? 1 : 0
