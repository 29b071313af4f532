/** fast-check with a seed that is printed, so that any run can be repeated: ADASUM_SEED=... npx ava ... */
import fc from 'fast-check'

// Browsers have no environment.
const { process } = globalThis as { process?: NodeJS.Process }
const wanted = process?.env['ADASUM_SEED']
const seed = wanted ? Number(wanted) : Math.floor(Math.random() * 2 ** 31)
// The counterexample alone does not say what it broke.
fc.configureGlobal({ seed, verbose: 1, includeErrorInReport: true })
console.log(`fast-check seed ${seed}`)

/** Whether this run is to go through all cases of which others take a sample, and to try properties more often. */
export const HAS_ALL_CASES: boolean = process?.env['ADASUM_CASES'] === 'all'

/** How often a property is tried: `count` times, or ten times as often where there is time for all cases. */
export const runsOf = (count: number): number => (HAS_ALL_CASES ? 10 * count : count)

export { fc, seed }
