// How far each optimizer is from the reference implementation: `npm run --silent check:optim -- --json`. A line a case; f64 is
// relative, after all steps, f32 in units of the last place, after single steps from the reference's own state. Muon in f32 is
// compared with f64, step by step: the error is relative to the largest change of a weight.
import { BOUND_MUON_F32, type Accuracy, accuracyOf, errorOfF32Steps } from '../test/optim/_accuracy.ts'
import { GOLDEN_NAMES, type GoldenCase, goldenCase } from '../test/optim/_golden.ts'

const isJson = process.argv.includes('--json')
let failed = 0
for (const golden of GOLDEN_NAMES.map(goldenCase)) {
  report(golden, golden.dtype, accuracyOf(golden), golden.reference)
  if (golden.rule === 'muon')
    report(golden, 'f32', { maxError: errorOfF32Steps(golden), bound: BOUND_MUON_F32 }, 'f64 of adasum/optim')
}
process.exitCode = failed > 0 ? 1 : 0

function report({ name, steps }: GoldenCase, dtype: string, { maxError, bound }: Accuracy, reference: string): void {
  if (!(maxError <= bound)) failed++
  const text = `${name.padEnd(30)} ${dtype} ${String(steps).padStart(4)} steps  ${maxError.toExponential(1)} of ${bound}`
  console.log(isJson ? JSON.stringify({ optimizer: name, dtype, steps, maxError, bound }) : `${text}  ${reference}`)
}
