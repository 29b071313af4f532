/** Vectors and Adasum of them, for tests that state what holds for all vectors. */
import { adasumSync } from '../../ts/src/reduction/local.ts'
import type { Random } from '../transport/_random.ts'
import { dot } from './_operators.ts'

export type Vector = Float64Array

/** The package's own function, in f64. */
export const adasum = (vectors: readonly Vector[], weights?: number[]): Vector =>
  adasumSync([...vectors], weights && { weights }).result

export const vector = (...elements: number[]): Vector => Float64Array.from(elements)
export const sumOf = (vectors: readonly Vector[], factor = 1): Vector =>
  vectors[0]!.map((_, e) => factor * vectors.reduce((sum, vector) => sum + vector[e]!, 0))
export const meanOf = (vectors: readonly Vector[]): Vector => sumOf(vectors, 1 / vectors.length)
export const scaled = (factor: number, a: Vector): Vector => a.map((x) => factor * x)
export const minus = (a: Vector, b: Vector): Vector => a.map((x, e) => x - b[e]!)
export const squareOf = (a: Vector): number => dot(a, a)
export const norm = (a: Vector): number => Math.sqrt(dot(a, a))
/** A matrix, as its rows, times a vector. */
export const times = (matrix: readonly Vector[], a: Vector): Vector => Float64Array.from(matrix, (row) => dot(row, a))
/** The cosine; 0 if a vector is zero. */
export const cosineOf = (a: Vector, b: Vector): number => dot(a, b) / (norm(a) * norm(b) || 1)
export const angleOf = (a: Vector, b: Vector): number => Math.acos(Math.min(1, Math.max(-1, cosineOf(a, b))))
/** The projection of b on a; nothing of it if a is zero. */
export const projected = (a: Vector, b: Vector): Vector => scaled(dot(a, b) / (dot(a, a) || 1), a)
/** What the projection of b on a leaves. */
export const rejected = (a: Vector, b: Vector): Vector => minus(b, projected(a, b))

export const normal = (random: Random): number =>
  Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
export const vectorOf = (random: Random, length: number, scale = 1): Vector =>
  Float64Array.from({ length }, () => scale * normal(random))

/** Two vectors of lengths up to 100 times apart, some of them nearly parallel, opposed or orthogonal. */
export function pairOf(random: Random): [Vector, Vector] {
  const a = vectorOf(random, 2 + Math.floor(random() * 4), 10 ** (2 * random() - 1))
  const other = vectorOf(random, a.length)
  const mix = [0, 1, -1][Math.floor(random() * 3)]!
  const near = other.map((x, e) => (mix === 0 ? 1 : 0.1) * x + mix * a[e]!)
  return [a, random() < 0.2 ? rejected(a, near) : scaled(10 ** (2 * random() - 1), near)]
}

/** Two vectors h + e and -h + e with a small e, which lies across h or at 30 degrees from it. */
export function nearlyOpposed(random: Random): [Vector, Vector] {
  const h = vectorOf(random, 3)
  const across = rejected(h, vectorOf(random, 3))
  const along = random() < 0.5 ? 0 : Math.sqrt(3)
  const e = across.map((x, i) => 1e-4 * (x / norm(across) + (along * h[i]!) / norm(h)))
  return [sumOf([h, e]), minus(e, h)]
}

export function symmetricMatrix(random: Random, length: number): Vector[] {
  const rows = Array.from({ length }, () => vectorOf(random, length))
  return rows.map((row, i) => row.map((x, e) => x + rows[e]![i]!))
}
