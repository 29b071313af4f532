/** Expectations of Adasum, exact: of random vectors that take few values, by going through all of them. */
import type { Random } from '../transport/_random.ts'
import { type Vector, adasum, minus, normal, projected, rejected, scaled, sumOf, vector, vectorOf } from './_vectors.ts'

/** A random vector that takes finitely many values. */
export type Distribution = { chance: number; value: Vector }[]

export const expectation = (law: Distribution): Vector => sumOf(law.map(({ chance, value }) => scaled(chance, value)))
export const expectationOf = (law: Distribution, f: (value: Vector) => number): number =>
  law.reduce((sum, { chance, value }) => sum + chance * f(value), 0)
/** The mean of the projections on what a random vector takes, times v. */
export const meanProjection = (law: Distribution, v: Vector): Vector =>
  sumOf(law.map(({ chance, value }) => scaled(chance, projected(value, v))))

/** The distribution of two independent vectors' Adasum. */
export function combined(a: Distribution, b: Distribution, weights?: [number, number]): Distribution {
  const found = new Map<string, { chance: number; value: Vector }>()
  for (const x of a)
    for (const y of b) {
      const value = adasum([x.value, y.value], weights)
      const before = found.get(value.join())?.chance ?? 0
      found.set(value.join(), { chance: before + x.chance * y.chance, value })
    }
  return [...found.values()]
}

/**
 * The distribution of Adasum, if the leaves are independent.
 *
 * @param check - sees both children and the result of each node, and the share of leaves that the first child has
 */
export function treeOf(
  leaves: readonly Distribution[],
  check?: (a: Distribution, b: Distribution, node: Distribution, share: number) => void,
): Distribution {
  if (leaves.length === 1) return leaves[0]!
  const middle = Math.ceil(leaves.length / 2)
  const [a, b] = [treeOf(leaves.slice(0, middle), check), treeOf(leaves.slice(middle), check)]
  const node = combined(a, b, [middle, leaves.length - middle])
  check?.(a, b, node, middle / leaves.length)
  return node
}

/** A vector of this mean whose values have unlike lengths and chances. */
export function lawWithMean(random: Random, mean: Vector, values = 3): Distribution {
  const chances = Array.from({ length: values }, () => random() + 0.05)
  const total = chances.reduce((sum, chance) => sum + chance, 0)
  const law = chances.map((chance) => ({
    chance: chance / total,
    value: vectorOf(random, mean.length, 10 ** normal(random)),
  }))
  const shift = minus(mean, expectation(law))
  return law.map(({ chance, value }) => ({ chance, value: sumOf([value, shift]) }))
}

/** Values (1 + t) g + v and (1 + t) g - v, equally likely, with two values of t whose mean is 0, and v across g. */
export function symmetricLaw(random: Random, g: Vector): Distribution {
  const [t, chance] = [normal(random), 0.1 + 0.8 * random()]
  const parts = [
    { along: 1 + t, chance },
    { along: 1 - (t * chance) / (1 - chance), chance: 1 - chance },
  ]
  return parts.flatMap(({ along, chance }) =>
    mirrored(random, g, scaled(along, g)).map(({ value }) => ({ chance: chance / 2, value })),
  )
}

/** The values center + v and center - v, equally likely, with v across g: from far shorter than g to far longer. */
export function mirrored(random: Random, g: Vector, center = g): Distribution {
  return oppositeNoise(center, rejected(g, vectorOf(random, g.length, 10 ** (2 * normal(random)))))
}

/** Two random vectors of the mean g, a vector on the first of three axes, with noises across it and across each other. */
export const acrossEachOther = (g: Vector, length: number): Distribution[] =>
  [vector(0, length, 0), vector(0, 0, length)].map((noise) => oppositeNoise(g, noise))

/** The values center + noise and center - noise, equally likely. */
function oppositeNoise(center: Vector, noise: Vector): Distribution {
  return [sumOf([center, noise]), minus(center, noise)].map((value) => ({ chance: 0.5, value }))
}

/** A vector, mostly along the first axis and rarely along the second: its angle comes near arcsin(1/3). */
export const nearWorst = (rare: number): Distribution => [
  { chance: 1 - rare, value: vector(Math.SQRT2 / (1 - rare), 0) },
  { chance: rare, value: vector(0, 1 / rare) },
]

/** The most by which a symmetric matrix with eigenvalues from p to 1 turns a vector. */
export const turnOf = (p: number): number => Math.asin((1 - p) / (1 + p))

/** For each leaf, its child's share of the leaves of each node, from the leaf to the root. */
export function sharesOf(count: number): number[][] {
  if (count === 1) return [[]]
  const parts = [Math.ceil(count / 2), Math.floor(count / 2)]
  return parts.flatMap((part) => sharesOf(part).map((shares) => [...shares, part / count]))
}

/** The sum of the turns on the way from a leaf to the root: the most among all leaves. */
export const turnOfTree = (count: number): number =>
  Math.max(...sharesOf(count).map((shares) => shares.reduce((sum, p) => sum + turnOf(p), 0)))

/**
 * A unit vector of the plane, times symmetric matrices with the eigenvalues 1 and p, one after the other.
 *
 * @param lead - the angle from the vector at hand to the direction of eigenvalue 1
 * @returns what is left along the first vector, and by which angle the last one is turned from it
 */
export function chain(shares: readonly number[], lead: (p: number) => number): [left: number, turned: number] {
  let [length, turned] = [1, 0]
  for (const p of shares) {
    const angle = lead(p)
    const [along, across] = [Math.cos(angle), p * Math.sin(angle)]
    length *= Math.hypot(along, across)
    turned += angle - Math.atan2(across, along)
  }
  return [length * Math.cos(turned), turned]
}
