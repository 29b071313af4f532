/** Steps of optimizers by a binding, against a naive loop in JavaScript. */
import test from 'ava'
import { type Binding, DTYPE_CODES, STEP_FACTOR_COUNTS, STEP_RULE_CODES } from '../../ts/src/binding/binding.ts'
import { familyOf } from '../reduction/_oracle.ts'
import { bitsOf, bytesOf, doubles } from './_calls.ts'

type Rule = keyof typeof STEP_RULE_CODES
type Floats = Float32Array | Float64Array
const RULES = Object.keys(STEP_RULE_CODES) as Rule[]
const STATE_COUNTS: Record<Rule, number> = { sgd: 0, momentum: 1, adam: 2, lamb: 2, muon: 1 }

/** All different, so that none can stand in for another. */
const FACTORS = [0.75, 0.9, 0.05, 0.03, 0.97]
const ROWS: Record<Rule, number[]> = {
  sgd: FACTORS,
  momentum: [...FACTORS, 0.8, 0.6, 1],
  adam: [...FACTORS, 0.9, 0.2, 0.98, 0.04, 1e-3, 0.4, 0.3],
  lamb: [...FACTORS, 0.9, 0.2, 0.98, 0.04, 1e-3, 0.4, 0.3, 0.07, 1, 0.01],
  muon: [0.75, 0.9, 0.8, 0.2, 1.1, 0.3],
}

interface Arrays {
  readonly gradient: Floats
  readonly weights: Floats
  readonly first: Floats
  readonly second: Floats
}

/** The step by its definition, with `round` after each operation. The ratio of LAMB is the row's limit. */
function expected(rule: Rule, row: readonly number[], arrays: Arrays, round: (x: number) => number): Floats[] {
  const [weights, first, second] = [arrays.weights, arrays.first, arrays.second].map((array) => array.slice())
  const f = row.map(round)
  const times = (a: number, b: number): number => round(a * b)
  for (const [i, element] of arrays.gradient.entries()) {
    const limited = Math.max(-f[1]!, Math.min(f[1]!, times(f[0]!, element)))
    if (rule === 'muon') {
      first![i] = times(f[2]!, first![i]!) + times(f[3]!, limited)
      weights![i] = times(f[4]!, first![i]) + times(f[5]!, limited)
      continue
    }
    const g = round(limited + times(f[3]!, weights![i]!))
    const kept = times(f[4]!, weights![i]!)
    if (rule === 'sgd') {
      weights![i] = kept - times(f[2]!, g)
      continue
    }
    const [keep1, taken1] = [f[5]!, f[6]!]
    first![i] = times(keep1, first![i]!) + times(taken1, g)
    if (rule === 'momentum') {
      weights![i] = kept - times(f[2]!, round(g + times(keep1, first![i])))
      continue
    }
    second![i] = times(f[7]!, second![i]!) + times(times(f[8]!, g), g)
    const root = round(Math.sqrt(second![i]))
    if (rule === 'adam') {
      const denominator = round(round(root / f[11]!) + f[9]!)
      weights![i] = kept - round(times(round(row[2]! / row[10]!), first![i]) / denominator)
      continue
    }
    const [correction1, rootCorrection2] = [round(1 / row[10]!), round(1 / row[11]!)]
    const denominator = round(times(rootCorrection2, root) + f[9]!)
    const direction = round(round(times(correction1, first![i]) / denominator) + times(f[12]!, weights![i]!))
    weights![i] = kept - times(round(row[2]! * row[14]!), direction)
  }
  return [weights!, first!, second!]
}

function arraysOf(rule: Rule, dtype: 'f32' | 'f64', length: number): Arrays {
  const make = (n: number): Floats => (dtype === 'f32' ? new Float32Array(n) : new Float64Array(n))
  const [gradient, weights, first, second] = familyOf<Floats>('independent', make, {
    count: 4,
    length,
    seed: length,
  })
  const kept = STATE_COUNTS[rule]
  return {
    gradient: gradient!,
    weights: weights!,
    first: kept > 0 ? first! : make(0),
    second: kept > 1 ? second!.map(Math.abs) : make(0),
  }
}

export function steppingContract(binding: Binding): void {
  for (const rule of RULES)
    test(`step by ${rule}: a naive loop gives the same bits, in both forms`, async (t) => {
      t.is(ROWS[rule].length, STEP_FACTOR_COUNTS[rule])
      for (const dtype of ['f32', 'f64'] as const)
        for (const length of [0, 1, 9, 2049, 5000]) {
          const before = arraysOf(rule, dtype, length)
          const round = dtype === 'f32' ? Math.fround : (x: number) => x
          const want = expected(rule, ROWS[rule], before, round).map(bitsOf)
          const run = async (isLater: boolean): Promise<string[]> => {
            const [weights, first, second] = [before.weights, before.first, before.second].map((array) => array.slice())
            const written = [bytesOf(weights!), bytesOf(first!), bytesOf(second!)] as const
            const table = [doubles(length), doubles(...ROWS[rule])] as const
            const args = [
              STEP_RULE_CODES[rule],
              DTYPE_CODES[dtype],
              bytesOf(before.gradient),
              ...table,
              ...written,
            ] as const
            if (isLater) await binding.stepAsync(...args)
            else binding.step(...args)
            return [weights!, first!, second!].map(bitsOf)
          }
          t.deepEqual(await run(false), want, `${dtype}, ${length}`)
          t.deepEqual(await run(true), want, `${dtype}, ${length}, later`)
        }
    })
}
