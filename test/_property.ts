/** fast-check with a seed that is printed, so that any run can be repeated: ADASUM_SEED=... npx ava ... */
import fc from 'fast-check'

// Browsers have no environment.
const { process } = globalThis as { process?: NodeJS.Process }
const wanted = process?.env['ADASUM_SEED']
const seed = wanted ? Number(wanted) : Math.floor(Math.random() * 2 ** 31)
// The counterexample alone does not say what it broke.
fc.configureGlobal({ seed, verbose: 1, includeErrorInReport: true })
console.log(`fast-check seed ${seed}`)

export { fc, seed }
