/**
 * How much of a large set of cases a run goes through: a sample, chosen by the seed of the property tests, which is printed, or
 * everything under `npm run test:long`, which sets ADASUM_CASES=all.
 */
import { HAS_ALL_CASES, seed } from './_property.ts'
import { type Random, mulberry32 } from './transport/_random.ts'

/** Another sample for each set, the same ones whatever else a run tests. */
const randomFor = (name: string): Random => mulberry32([...name].reduce((sum, c) => sum * 31 + c.codePointAt(0)!, seed))

/**
 * @param name - of the set
 * @returns `count` of the cases in their order, or all
 */
export function sampleOf<T>(name: string, cases: readonly T[], count: number): T[] {
  if (HAS_ALL_CASES || count >= cases.length) return [...cases]
  const random = randomFor(name)
  const places = cases.map((_, place) => ({ place, rank: random() })).toSorted((a, b) => a.rank - b.rank)
  const chosen = places.slice(0, count).map(({ place }) => place)
  return chosen.toSorted((a, b) => a - b).map((place) => cases[place]!)
}
