/** How far an optimizer is from what another implementation computed (test/golden/optimizers). */
import { type Floats, type GoldenCase, gradientAt, sizeOf, stateAfter, weightsAfter } from './_golden.ts'
import { optimizerOf } from './_from-golden.ts'

export interface Accuracy {
  /**
   * f64: the largest difference of a weight over all steps, relative to the largest weight of its step. f32: the
   * largest difference in units of the last place after a single step from the reference's own weights and state; a
   * unit is that of the largest number which takes part.
   */
  readonly maxError: number
  readonly bound: number
}

/** Relative, after 200 steps of f64. */
const BOUND_F64 = 1e-12
/** Units of the last place, after one step of f32. */
const BOUND_F32 = 2

export function accuracyOf(golden: GoldenCase): Accuracy {
  return golden.dtype === 'f64'
    ? { maxError: errorOfTrajectory(golden), bound: BOUND_F64 }
    : { maxError: errorOfSteps(golden), bound: BOUND_F32 }
}

function errorOfTrajectory(golden: GoldenCase): number {
  const optimizer = optimizerOf(golden)
  const weights = golden.initial.slice()
  let worst = 0
  for (let step = 1; step <= golden.steps; step++) {
    optimizer.stepSync(weights, gradientAt(golden, step))
    if (step % golden.stride !== 0) continue
    const expected = weightsAfter(golden, step)
    const largest = Math.max(...expected.map(Math.abs)) || 1
    for (const [i, weight] of weights.entries()) worst = Math.max(worst, Math.abs(weight - expected[i]!) / largest)
  }
  return worst
}

function errorOfSteps(golden: GoldenCase): number {
  const optimizer = optimizerOf(golden)
  const names = Object.keys(golden.state)
  let worst = 0
  for (let step = 1; step <= golden.steps; step++) {
    const before = step === 1 ? golden.initial : weightsAfter(golden, step - 1)
    const weights = before.slice()
    const gradient = gradientAt(golden, step)
    optimizer.restore({ stepCount: step - 1, arrays: segmentsOf(golden, names, step - 1) })
    optimizer.stepSync(weights, gradient)
    worst = Math.max(worst, unitsApart(weights, weightsAfter(golden, step), scaleOf(golden, before)))
    const state = optimizer.state().arrays
    for (const [key, expected] of Object.entries(segmentsOf(golden, names, step))) {
      const begin = beginOf(golden, key)
      worst = Math.max(worst, unitsApart(state[key]!, expected, gradient.subarray(begin, begin + expected.length)))
    }
  }
  return worst
}

/**
 * What each weight is compared with: itself before the step. LAMB moves all weights of a segment by norms, which its
 * reference takes in f32, where those of denormal numbers are zero.
 */
function scaleOf({ rule }: GoldenCase, before: Floats): Floats {
  return rule === 'lamb' ? before.map(() => largestOf(before)) : before
}

const largestOf = (numbers: Iterable<number>): number => Math.max(...[...numbers].map(Math.abs))

/** The largest difference, in units of the last place of the largest of what is compared and what took part. */
function unitsApart(ours: ArrayLike<number>, theirs: ArrayLike<number>, tookPart: ArrayLike<number>): number {
  const errors = Array.from(ours, (x, i) => Math.abs(x - theirs[i]!) / unit(largestOf([theirs[i]!, tookPart[i]!])))
  return Math.max(...errors)
}

/** The distance from an f32 number to the next. */
function unit(x: number): number {
  return 2 ** (Math.max(-126, Math.floor(Math.log2(x))) - 23)
}

/** The reference's state after a step, by the names of ours. */
function segmentsOf(golden: GoldenCase, names: readonly string[], step: number): Record<string, Float32Array> {
  const arrays: Record<string, Float32Array> = {}
  for (const name of names)
    for (const segment of golden.segments) {
      const key = `${name}/${segment.name}`
      const begin = beginOf(golden, key)
      arrays[key] = stateAfter(golden, name, step).slice(begin, begin + sizeOf(segment)) as Float32Array
    }
  return arrays
}

/** The first element of a segment that `<state>/<segment>` names. */
function beginOf({ segments }: GoldenCase, key: string): number {
  const index = segments.findIndex(({ name }) => key.endsWith(`/${name}`))
  return segments.slice(0, index).reduce((sum, segment) => sum + sizeOf(segment), 0)
}

/** Muon in f32: relative to the largest change of a weight of the step. */
export const BOUND_MUON_F32 = 5e-5

/**
 * How far single steps of Muon in f32 are from those of f64, from the same weights and state: the largest difference of
 * a weight, relative to the largest change of a weight of its step. The references compute no f32 (PyTorch multiplies
 * in bfloat16), so f64 stands in for them, which the trajectories check. The iterations lengthen what is short by up to
 * 3.4445^5 = 485, and the roundings of what is divided by the norm with it.
 */
export function errorOfF32Steps(golden: GoldenCase): number {
  const [wide, narrow] = [optimizerOf(golden), optimizerOf({ ...golden, dtype: 'f32' })]
  const weights = golden.initial.slice()
  let worst = 0
  for (let step = 1; step <= golden.steps; step++) {
    const { arrays } = wide.state()
    const rounded = Object.entries(arrays).map(([name, array]) => [name, Float32Array.from(array)])
    narrow.restore({ stepCount: step - 1, arrays: Object.fromEntries(rounded) as Record<string, Float32Array> })
    const [before, gradient] = [weights.slice(), gradientAt(golden, step)]
    const moved = Float32Array.from(before)
    wide.stepSync(weights, gradient)
    narrow.stepSync(moved, Float32Array.from(gradient))
    const largest = Math.max(...weights.map((weight, i) => Math.abs(weight - before[i]!))) || 1
    for (const [i, weight] of weights.entries()) {
      // The weights begin as f32 can hold them, which is no error of the step.
      const error = Math.abs(weight - before[i]! - (moved[i]! - Math.fround(before[i]!)))
      worst = Math.max(worst, error / largest)
    }
  }
  return worst
}
