/** What an optimizer keeps between steps, and its form as named arrays, as a checkpoint has it. */
import { typedArrayName } from '../binding/typed-array.ts'
import { AdasumError, inspect, reading } from '../errors.ts'
import { wholeNumber } from '../tensor/check.ts'
import { type FloatArray, type FloatDtype, newFloats } from './float-array.ts'
import type { Method } from './rules.ts'
import type { SegmentPlan } from './segments.ts'

/** An optimizer's state. */
export interface SavedState {
  /** Steps that have been done. */
  readonly stepCount: number
  /** By `<what it is>/<name of the segment>`, such as `m/dense/kernel`. */
  readonly arrays: Readonly<Record<string, FloatArray>>
}

interface Kept {
  /** One a segment. */
  readonly methods: readonly Method[]
  readonly dtype: FloatDtype
  readonly segments: SegmentPlan
}

/** One array of state, in which each segment that has it follows the one before. */
export interface StateArray {
  readonly elements: FloatArray
  /** By how much each segment begins earlier in it than in the weights. */
  readonly shifts: readonly number[]
}

export class OptimizerState {
  stepCount = 0
  /** As many as the rule with the most names has. */
  readonly arrays: readonly StateArray[]
  readonly #kept: Kept

  constructor(kept: Kept) {
    this.#kept = kept
    const most = Math.max(0, ...kept.methods.map(({ rule }) => rule.stateNames.length))
    this.arrays = Array.from({ length: most }, (_, index) => newStateArray(kept, index))
  }

  save(): SavedState {
    return {
      stepCount: this.stepCount,
      arrays: Object.fromEntries(this.#views().map(([n, view]) => [n, view.slice()])),
    }
  }

  /** @throws AdasumError ERR_ARGUMENT, and then nothing has been changed */
  restore(saved: SavedState): void {
    const views = this.#views()
    const { stepCount, arrays } = reading('the state', () => ({
      stepCount: saved.stepCount,
      arrays: { ...saved.arrays },
    }))
    wholeNumber(stepCount, 'stepCount')
    const unknown = Object.keys(arrays).find((name) => !views.some(([known]) => known === name))
    if (unknown !== undefined) refuse(`the state has ${inspect(unknown)}, which this optimizer does not keep`)
    for (const [name, view] of views) checkFits(name, arrays[name], view)
    for (const [name, view] of views) view.set(arrays[name]!)
    this.stepCount = stepCount
  }

  /** The part of each segment in each array. */
  #views(): [name: string, view: FloatArray][] {
    const { methods, segments } = this.#kept
    const { begins } = segments
    return this.arrays.flatMap(({ elements, shifts }, index) =>
      segments.segments.flatMap(({ name }, i): [string, FloatArray][] => {
        const what = methods[i]!.rule.stateNames[index]
        if (what === undefined) return []
        return [[`${what}/${name}`, elements.subarray(begins[i]! - shifts[i]!, begins[i + 1]! - shifts[i]!)]]
      }),
    )
  }
}

/** @param index - which of the names of each rule */
function newStateArray({ methods, segments, dtype }: Kept, index: number): StateArray {
  let shift = 0
  const shifts = methods.map(({ rule }, i) => {
    const own = shift
    if (rule.stateNames.length <= index) shift += segments.begins[i + 1]! - segments.begins[i]!
    return own
  })
  return { elements: newFloats(dtype, segments.begins.at(-1)! - shift), shifts }
}

/** @throws AdasumError ERR_ARGUMENT for an array of a state that is not like its part of the optimizer's */
export function checkFits(name: string, array: unknown, view: FloatArray): void {
  if (typedArrayName(array) !== view.constructor.name)
    refuse(`${inspect(name)} must be a ${view.constructor.name}, and is ${typedArrayName(array) ?? typeof array}`)
  const { length } = array as FloatArray
  if (length !== view.length) refuse(`${inspect(name)} has ${length} elements, and its segment ${view.length}`)
}

function refuse(what: string): never {
  throw new AdasumError('ERR_ARGUMENT', `${what}. Restore the state of an optimizer of the same rule and segments.`)
}
