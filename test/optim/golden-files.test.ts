/** The files of test/golden/optimizers agree with themselves, and gradients are made here as the script made them. */
import test from 'ava'
import { fnv1a } from '../golden/_inputs.ts'
import {
  GOLDEN_NAMES,
  type Floats,
  type GoldenCase,
  goldenCase,
  gradientAt,
  initialByFormula,
  stateAfter,
  textOf,
  weightsAfter,
} from './_golden.ts'

const bytesOf = ({ buffer, byteOffset, byteLength }: Floats): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength)
const stepsOf = ({ steps }: GoldenCase): number[] => Array.from({ length: steps }, (_, i) => i + 1)
const KEPT: Record<string, readonly string[]> = { sgd: ['momentum'], adam: ['m', 'v'], adamw: ['m', 'v'], lamb: ['m', 'v'] } // prettier-ignore

test('every rule has cases, in both dtypes where steps are checked one by one', (t) => {
  const kinds = new Set(GOLDEN_NAMES.map(goldenCase).map(({ rule, dtype }) => `${rule} ${dtype}`))
  t.deepEqual([...kinds].sort(), [
    'adam f32',
    'adam f64',
    'adamw f32',
    'adamw f64',
    'lamb f32',
    'lamb f64',
    'muon f64',
    'sgd f32',
    'sgd f64',
  ])
})

for (const name of GOLDEN_NAMES) {
  test(`${name}: lengths`, (t) => {
    t.true(textOf(name).length < 60_000)
    const golden = goldenCase(name)
    const { dtype, elementCount, initial, learningRates, state, steps, stride, weights } = golden
    t.is(initial.length, elementCount)
    t.is(weights.length, (steps / stride) * elementCount)
    t.is(learningRates.length, steps)
    t.deepEqual(Object.keys(state), dtype === 'f32' ? [...KEPT[golden.rule]!] : [])
    for (const kept of Object.values(state)) t.is(kept.length, steps * elementCount)
    t.true([initial, weights, learningRates, ...Object.values(state)].every((array) => array.every(Number.isFinite)))
  })

  test(`${name}: gradients and first weights are those of the script`, (t) => {
    const golden = goldenCase(name)
    const gradients = stepsOf(golden).map((step) => bytesOf(gradientAt(golden, step)))
    t.is(fnv1a(gradients), golden.gradientsFnv1a)
    t.deepEqual(initialByFormula(golden), golden.initial)
  })

  test(`${name}: weights move if there are gradients`, (t) => {
    const golden = goldenCase(name)
    const moved = weightsAfter(golden, golden.steps).some((weight, i) => weight !== golden.initial[i])
    t.is(moved, golden.gradientScale !== 0)
  })
}

for (const name of GOLDEN_NAMES.filter((name) => goldenCase(name).dtype === 'f32')) {
  test(`${name}: the state is that of these gradients`, (t) => {
    const golden = goldenCase(name)
    const key = golden.rule === 'sgd' ? 'momentum' : 'm'
    const share = golden.rule === 'sgd' ? 1 : 0.1
    const norm = Math.hypot(...gradientAt(golden, 1))
    const divisor = Math.max(1, norm / (golden.options.clipNorm ?? Infinity))
    const first = stateAfter(golden, key, 1)
    const quantum = 2 ** -149
    gradientAt(golden, 1).forEach((gradient, i) => {
      const expected = (share * gradient) / divisor
      t.true(Math.abs(first[i]! - expected) <= quantum + 1e-6 * Math.abs(expected), `element ${i}`)
    })
    t.true(stateAfter(golden, key, 0).every((element) => element === 0))
  })
}
