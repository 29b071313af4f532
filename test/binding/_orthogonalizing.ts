/** Newton-Schulz iterations by a binding, against loops over rows, columns and terms in JavaScript. */
import test from 'ava'
import { type Binding, DTYPE_CODES } from '../../ts/src/binding/binding.ts'
import { bitsOf, bytesOf, doubles } from './_calls.ts'

type Floats = Float32Array | Float64Array
type Round = (x: number) => number

const COEFFICIENTS = [3.4445, -4.775, 2.0315]
const ADDED = 0.25
const SHAPES = [[0, 3], [1, 1], [1, 7], [7, 1], [5, 19], [19, 5], [33, 34], [3, 300]] as const // prettier-ignore

const transposed = (matrix: readonly number[], rows: number, columns: number): number[] =>
  matrix.map((_, i) => matrix[(i % rows) * columns + Math.floor(i / rows)]!)

/** left (rows by terms) times right (terms by columns). */
function product(left: readonly number[], right: readonly number[], rows: number, round: Round): number[] {
  const terms = left.length / rows
  const columns = right.length / terms
  return Array.from({ length: rows * columns }, (_, i) => {
    const row = Math.floor(i / columns)
    let sum = 0
    for (let k = 0; k < terms; k++)
      sum = round(sum + round(left[row * terms + k]! * right[k * columns + (i % columns)]!))
    return sum
  })
}

function expected(matrix: readonly number[], rows: number, columns: number, round: Round, steps: number): number[] {
  if (rows > columns)
    return transposed(expected(transposed(matrix, rows, columns), columns, rows, round, steps), columns, rows)
  const [a, b, c] = COEFFICIENTS.map(round) as [number, number, number]
  const norm = round(Math.sqrt(matrix.reduce((sum, x) => sum + x * x, 0)) + ADDED)
  let x = matrix.map((element) => round(element / norm))
  for (let step = 0; step < steps; step++) {
    const gram = product(x, transposed(x, rows, columns), rows, round)
    const square = product(gram, gram, rows, round)
    const polynomial = gram.map((g, i) => round(round(b * g) + round(c * square[i]!)))
    const moved = product(polynomial, x, rows, round)
    x = x.map((element, i) => round(round(a * element) + moved[i]!))
  }
  return x
}

export function orthogonalizingContract(binding: Binding): void {
  for (const dtype of ['f32', 'f64'] as const)
    test(`orthogonalize ${dtype}: loops give the same bits, in both forms`, async (t) => {
      const [make, round]: [(numbers: readonly number[]) => Floats, Round] =
        dtype === 'f32' ? [(x) => Float32Array.from(x), Math.fround] : [(x) => Float64Array.from(x), (x) => x]
      for (const [rows, columns] of SHAPES)
        for (const steps of [0, 1, 5]) {
          // Whole numbers, whose squares add up exactly in any order.
          const matrix = Array.from({ length: rows * columns }, (_, i) => ((i * 7919 + rows) % 23) - 11)
          const want = bitsOf(make(matrix.length === 0 ? [] : expected(matrix, rows, columns, round, steps)))
          const factors = doubles(ADDED, 0, ...Array.from({ length: steps }, () => COEFFICIENTS).flat())
          const [now, later] = [make(matrix), make(matrix)]
          binding.orthogonalize(DTYPE_CODES[dtype], rows, columns, factors, bytesOf(now))
          await binding.orthogonalizeAsync(DTYPE_CODES[dtype], rows, columns, factors, bytesOf(later))
          t.is(bitsOf(now), want, `${rows} x ${columns}, ${steps} iterations`)
          t.is(bitsOf(later), want, `${rows} x ${columns}, ${steps} iterations, later`)
        }
    })
}
